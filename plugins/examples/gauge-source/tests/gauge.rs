//! The source on the SDK's bench, without wasm.

use std::collections::BTreeMap;
use std::time::Duration;

use gauge_source::Gauge;
use jackfield_sdk::Failure;
use jackfield_sdk::batch::event::RequestError;
use jackfield_sdk::source::HttpError;
use jackfield_sdk::source::testing::{Bench, FakeHost};

const SETTINGS: &str = r#"{"url": "https://a.example/gauge", "every-seconds": 10}"#;

/// Answers the request that is open.
fn answer(bench: &Bench<Gauge>, status: u16, body: &str) -> u64 {
    let open = bench.host.open_requests();
    assert_eq!(open.len(), 1, "one question at a time");
    bench.host.respond(open[0].id, status, &[], body.as_bytes())
}

#[test]
fn an_answer_lands_once_even_if_the_instance_dies_before_it_is_durable() -> Result<(), Failure> {
    let mut bench = Bench::<Gauge>::open(SETTINGS)?;
    bench.poll()?;
    answer(&bench, 200, r#"{"value": 21.5, "unit": "°C"}"#);
    bench.poll()?;
    bench.trap()?;
    bench.poll_until_idle()?;
    bench.settle_all();
    let landed = bench.landed("reading");
    assert_eq!(landed.len(), 1);
    assert_eq!(landed[0].value[0], 2, "number 1, as Avro writes a long");
    assert_eq!(bench.stored()["{}"], r#"{"number":1}"#);
    Ok(())
}

#[test]
fn numbers_go_on_from_the_stored_position() -> Result<(), Failure> {
    let stored = BTreeMap::from([("{}".to_owned(), r#"{"number":41}"#.to_owned())]);
    let mut bench = Bench::<Gauge>::open_on(FakeHost::new(1), SETTINGS, stored)?;
    bench.poll()?;
    answer(&bench, 200, r#"{"value": 1}"#);
    bench.poll_until_idle()?;
    bench.settle_all();
    assert_eq!(bench.stored()["{}"], r#"{"number":42}"#);
    Ok(())
}

#[test]
fn it_asks_again_when_it_is_time_whatever_the_answer_was() -> Result<(), Failure> {
    let mut bench = Bench::<Gauge>::open(SETTINGS)?;
    bench.poll()?;
    answer(&bench, 503, "later");
    bench.poll_until_idle()?;
    assert_eq!(bench.host.requests().len(), 1, "not before it is time");
    bench.host.advance(Duration::from_secs(10));
    bench.poll()?;
    let open = bench.host.open_requests();
    bench
        .host
        .fail(open[0].id, RequestError::Timeout, "no response in time");
    bench.host.advance(Duration::from_secs(10));
    bench.poll_until_idle()?;
    bench.settle_all();
    assert_eq!(bench.host.requests().len(), 3);
    assert_eq!(bench.landed("reading").len(), 0);
    assert_eq!(bench.host.lines().len(), 2, "{:?}", bench.host.lines());
    Ok(())
}

#[test]
fn what_is_no_reading_is_rejected_with_its_event() -> Result<(), Failure> {
    let mut bench = Bench::<Gauge>::open(SETTINGS)?;
    bench.poll()?;
    let event = answer(&bench, 200, r#"{"value": "much"}"#);
    bench.poll_until_idle()?;
    bench.settle_all();
    assert_eq!(bench.rejected().len(), 1);
    assert_eq!(bench.rejected()[0].0, event);
    assert_eq!(
        bench.done_through(),
        event,
        "nothing is left to do about it"
    );
    Ok(())
}

#[test]
fn an_address_that_is_not_granted_is_for_a_person_to_mend() -> Result<(), Failure> {
    let mut bench = Bench::<Gauge>::open(SETTINGS)?;
    bench
        .host
        .refuse_request(Some(HttpError::Denied("no grant".to_owned())));
    assert!(matches!(bench.poll(), Err(Failure::Misconfigured(_))));
    Ok(())
}
