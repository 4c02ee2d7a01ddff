//! How a process ends whose connectors were made over REST and do not drain.

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, PATIENCE, Site, http, metric};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep, timeout};

use crate::exchange;
use crate::rest::{self, Rest};

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A call that loops is ended after so long: long after the grace time.
const CALL_TIME: &str = "10m";
/// Long enough for what is asked here before it is over, unless the machine is very busy.
const GRACE: &str = "8s";
/// How often a race with the grace time is run, which a very busy machine may lose.
const RACES: usize = 10;
/// CPU time after which a call loops, in seconds: all before it takes a small part of that.
const LOOPS_S: f64 = 1.0;

/// What the process says when it begins to stop, and of a connector whose grace time ended.
const STOPPING: &str = "stopping: draining";
const KILLED: &str = "killed: the grace time ended before it had drained";

/// A site that may run a source which never returns from a call.
async fn site() -> Site {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = rest::site(&exchange).await;
    let plugin = json!({
        "file": Artifacts::get().plugin("hostile"), "memory": "32MiB", "call-time": CALL_TIME
    });
    site.set("/plugins/hostile", plugin);
    site
}

/// Runs it with such a source, made over REST, in the middle of that call.
async fn run_stuck(site: &Site) -> Rest {
    let rest = Rest::run_with(site, &["--grace", GRACE]).await;
    let stuck = json!({
        "connector.class": "hostile",
        "jackfield.grant": "spot",
        "topic.only": "evil.stuck",
        "settings": json!({ "in": "poll", "do": "loop" }).to_string(),
    });
    let (status, said) = rest.ask("PUT", "/connectors/stuck/config", stuck).await;
    // It may be there from a race that was lost.
    assert!([200, 201].contains(&status), "{said}");
    let client = http();
    let loops = async {
        loop {
            let page = client.get(format!("{}/metrics", rest.url)).send().await;
            let page = page.unwrap().text().await.unwrap();
            if metric(&page, "jackfield_component_cpu_seconds_total", "stuck") > LOOPS_S {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(PATIENCE, loops).await.expect("it loops");
    rest
}

/// The status of the answer; none if the process ended before it gave one.
async fn deleted(url: String) -> Option<u16> {
    let answer = http()
        .delete(format!("{url}/connectors/stuck"))
        .send()
        .await;
    answer.ok().map(|it| it.status().as_u16())
}

/// Runs a race with the grace time until it is won; each time all but who was first is checked.
async fn won_at_last(race: impl AsyncFn(Rest) -> bool) {
    let site = site().await;
    for _ in 0..RACES {
        if race(run_stuck(&site).await).await {
            return;
        }
    }
    panic!("lost {RACES} times: what is asked comes too late");
}

/// Its removal takes it from those that the end of the process ends.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_killed_while_it_is_deleted_and_the_process_stops_is_told_by_the_exit_code() {
    won_at_last(async |mut rest: Rest| {
        let deleting = tokio::spawn(deleted(rest.url.clone()));
        let gone = |now: &Value| *now == json!([]);
        rest.until("it is being ended", "/connectors", gone).await;
        rest.jackfield.terminate().await;
        let code = rest.jackfield.wait().await;
        let _answered_or_not = deleting.await.unwrap();
        let log = rest.jackfield.log();
        let (stop, kill) = (log.find(STOPPING), log.find(KILLED));
        assert!(stop.is_some() && kill.is_some(), "{log}");
        // Else it was killed before the process was told to stop.
        let won = stop < kill;
        assert!(!won || code == 3, "{code}: {log}");
        won
    })
    .await;
}

/// The end of the process has taken it: that there is nothing left to remove is no error.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_deleted_while_it_ends_with_the_process_is_no_error() {
    won_at_last(async |mut rest: Rest| {
        rest.jackfield.terminate().await;
        rest.jackfield.line(STOPPING).await;
        // Else the process ended before it was asked.
        let won = deleted(rest.url.clone()).await == Some(204);
        assert_eq!(rest.jackfield.wait().await, 3);
        let log = rest.jackfield.log();
        let errors: Vec<&str> = log
            .lines()
            .filter(|line| line.contains(r#""level":"ERROR""#))
            .collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(KILLED), "{errors:?}");
        won
    })
    .await;
}
