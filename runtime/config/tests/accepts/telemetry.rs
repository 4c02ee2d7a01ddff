//! The section `telemetry`.

use crate::common::parse;
use crate::{EXAMPLE, SECOND};
use jackfield_config::*;

#[test]
fn pushing_is_asked_for_by_naming_a_receiver() {
    let with = |telemetry: &str| parse(&format!("{EXAMPLE}\ntelemetry: {telemetry}\n"));
    let config = with("{ otlp: { endpoint: \"http://collector:4318\" } }").unwrap();
    let otlp = config.telemetry.otlp.unwrap();
    assert_eq!(otlp.endpoint.as_str(), "http://collector:4318/");
    assert_eq!(otlp.protocol, OtlpProtocol::Http);
    assert_eq!(otlp.interval, 30 * SECOND);
    assert_eq!(otlp.sample.map(u32::from), Some(100_000));
    assert!(otlp.headers.is_empty());
    let all = "{ otlp: { endpoint: \"https://c/otlp\", protocol: grpc, headers: { X-Key: hunter2 }, interval: 1s, sample: 0 } }";
    let config = with(all).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let otlp = config.telemetry.otlp.unwrap();
    assert_eq!(otlp.protocol, OtlpProtocol::Grpc);
    assert_eq!(otlp.headers["x-key"].expose(), "hunter2");
    assert_eq!((otlp.interval, otlp.sample), (SECOND, None));
    for wrong in [
        "{ otlp: {} }",
        "{ otlp: { endpoint: \"collector:4318\" } }",
        "{ otlp: { endpoint: \"http://c\", protocol: udp } }",
        "{ otlp: { endpoint: \"http://c\", interval: 1ms } }",
        "{ otlp: { endpoint: \"http://c\", sample: 0.5 } }",
    ] {
        assert!(with(wrong).is_err(), "{wrong}");
    }
}
