//! All looks at once, none for ever.

use super::verdict::{Area, Line};
use futures::future::BoxFuture;
use std::time::Duration;
use tokio::task::JoinSet;

/// One look to be taken.
pub(crate) struct Check {
    pub(crate) area: Area,
    /// What to call it where it does not come to its end.
    pub(crate) name: String,
    pub(crate) within: Duration,
    /// What to do where it takes too long.
    pub(crate) late: String,
    pub(crate) look: BoxFuture<'static, Vec<Line>>,
}

/// Takes them all. What takes too long is told as such, and so is a look that breaks.
pub(crate) async fn all(checks: Vec<Check>) -> Vec<Line> {
    let mut looking = JoinSet::new();
    let mut names = Vec::with_capacity(checks.len());
    for (place, check) in checks.into_iter().enumerate() {
        names.push((check.area, check.name));
        looking.spawn(async move {
            let looked = tokio::time::timeout(check.within, check.look).await;
            (place, looked.map_err(|_| (check.within, check.late)))
        });
    }
    let mut found: Vec<Option<Vec<Line>>> = names.iter().map(|_| None).collect();
    while let Some(looked) = looking.join_next().await {
        // One that panicked leaves its place empty.
        let Ok((place, looked)) = looked else {
            continue;
        };
        let (area, name) = &names[place];
        found[place] = Some(looked.unwrap_or_else(|(within, late)| {
            let why = format!("no answer within {} s", within.as_secs_f64());
            vec![Line::fail(*area, name.as_str(), why, late)]
        }));
    }
    let lines = found
        .into_iter()
        .zip(names)
        .flat_map(|(lines, (area, name))| {
            lines.unwrap_or_else(|| {
                let remedy = "this is a mistake in jackfield: please report it";
                vec![Line::fail(area, name, "the check itself broke", remedy)]
            })
        });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn check(name: &str, look: impl Future<Output = Vec<Line>> + Send + 'static) -> Check {
        Check {
            area: Area::Log,
            name: name.to_owned(),
            within: Duration::from_secs(10),
            late: "start it".to_owned(),
            look: look.boxed(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_or_breaks_holds_up_no_other() {
        let begun = tokio::time::Instant::now();
        let lines = all(vec![
            check("hangs", std::future::pending()),
            check("breaks", async { panic!("on purpose") }),
            check("hangs too", std::future::pending()),
            check("works", async {
                vec![Line::ok(Area::Log, "works", "fine")]
            }),
        ])
        .await;
        assert!(begun.elapsed() < Duration::from_secs(11), "all at once");
        let told: Vec<_> = lines.iter().map(|it| (&*it.name, &*it.message)).collect();
        assert_eq!(
            told,
            [
                ("hangs", "no answer within 10 s"),
                ("breaks", "the check itself broke"),
                ("hangs too", "no answer within 10 s"),
                ("works", "fine"),
            ]
        );
    }
}
