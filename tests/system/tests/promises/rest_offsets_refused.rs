//! Offsets over REST, of connectors that are not STOPPED.

use jackfield_exchange::Speed;
use serde_json::{Value, json};

use crate::exchange;
use crate::rest::{self, Rest};

/// Offsets of what may go on with others at any time are nobody's to change: refused in Kafka
/// Connect's code and words, which clients show to people, and nothing is changed.
#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_one_that_is_not_stopped_are_refused_in_kafka_connects_words() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = rest::site(&exchange).await;
    let rest = Rest::run(&site).await;
    let made = [("trades", rest::source(&exchange)), ("lake", rest::sink())];
    for (name, config) in made {
        let path = format!("/connectors/{name}/config");
        let (status, said) = rest.ask("PUT", &path, config).await;
        assert_eq!(status, 201, "{said}");
    }
    exchange.finished().await;
    for name in ["trades", "lake"] {
        let connector = format!("/connectors/{name}");
        let offsets = format!("{connector}/offsets");
        let some = |now: &Value| now["offsets"].as_array().is_some_and(|it| !it.is_empty());
        let given = rest.until("it has come somewhere", &offsets, some).await;
        let words = format!(
            "Connectors must be in the STOPPED state before their offsets can be modified. This \
             can be done for the specified connector by issuing a 'PUT' request to the \
             '/connectors/{name}/stop' endpoint"
        );
        for (state, ask) in [("RUNNING", "resume"), ("PAUSED", "pause")] {
            rest.told("PUT", &format!("{connector}/{ask}"), 202).await;
            rest.state(name, state).await;
            for (method, body) in [("PATCH", given.clone()), ("DELETE", Value::Null)] {
                let (status, said) = rest.ask(method, &offsets, body).await;
                let told = (status, &said["error_code"], &said["message"]);
                let expected = (400, &json!(400), &json!(words));
                assert_eq!(told, expected, "{method} of {name}, {state}");
            }
            let left = rest.get(&offsets).await;
            assert!(some(&left), "{name}, {state}: {left}");
        }
        rest.told("PUT", &format!("{connector}/stop"), 204).await;
        rest.state(name, "STOPPED").await;
        rest.told("DELETE", &offsets, 200).await;
    }
    rest.stop().await;
}
