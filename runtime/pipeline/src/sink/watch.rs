//! What a sink's life shows of itself while it goes on: its lag, and what its instances use. It is
//! looked up beside the coordinator, so that a stage or a commit that takes long hides nothing.

use super::books::Books;
use crate::host::Host;
use crate::meter::Meter;
use crate::status::Status;
use jackfield_telemetry::GaugeHandle;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked up: a stop waits for the next look.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Shows it until it is dropped.
pub(super) async fn run(
    host: &Host,
    status: &Status,
    books: &Books,
    meters: &mut [Meter<'_>],
) -> Infallible {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    // By topic, as many as the connector reads.
    let mut shown = BTreeMap::new();
    loop {
        tick.tick().await;
        meters.iter_mut().for_each(Meter::read);
        look_up_lag(host, status, books, &mut shown).await;
    }
}

async fn look_up_lag(
    host: &Host,
    status: &Status,
    books: &Books,
    shown: &mut BTreeMap<Arc<str>, GaugeHandle>,
) {
    let now = host.clock.now();
    // A topic whose partitions are another's now has no lag here.
    let mut lags: BTreeMap<Arc<str>, i64> = shown.keys().map(|it| (Arc::clone(it), 0)).collect();
    let reads = books.reads();
    let partitions = reads.len();
    for (at, read) in reads {
        match host.log.ends(&at.topic, at.partition).await {
            Ok(ends) => *lags.entry(at.topic).or_default() += (ends.end - read).max(0),
            Err(error) => {
                tracing::debug!(connector = %status.connector(), %error, "the lag is not known");
                return;
            }
        }
    }
    status.set_lag(lags.values().sum(), now);
    status.shares().looked_up(now, partitions);
    for (topic, lag) in lags {
        let gauge = shown.entry(topic);
        let gauge = gauge.or_insert_with_key(|topic| status.metrics().topic_lag(topic));
        gauge.set(lag as f64);
    }
}
