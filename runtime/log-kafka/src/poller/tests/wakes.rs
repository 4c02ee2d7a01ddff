//! What must be seen at once, without the look at every partition that would find it later.

use super::{WAIT_MAX, first, joined, next, passes, write};
use crate::membership::READY_MAX;
use crate::reader::KafkaReader;
use jackfield_batch::BATCH_BYTES_MAX;
use jackfield_log::{Reader, ReaderEvent};
use rdkafka::producer::FutureProducer;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Longer than the test may take: whatever is not told of is never seen.
const NEVER: Duration = WAIT_MAX.saturating_mul(1000);
const ROUNDS: usize = 5;
/// Records that are written in one go, each of which is a batch of its own: more than lie ready.
const BURST: usize = 4 * READY_MAX;
const RECORD_BYTES: usize = BATCH_BYTES_MAX / 2 + 1;

async fn burst(producer: &FutureProducer) {
    let value = "x".repeat(RECORD_BYTES);
    for _ in 0..BURST {
        write(producer, &value).await;
    }
}

/// Reads so many batches of one record each, from this offset; gives where the reader stands then.
async fn read(reader: &mut KafkaReader, mut from: i64) -> i64 {
    for _ in 0..BURST {
        match next(reader).await {
            ReaderEvent::Batch(fetched) => {
                assert_eq!(fetched.position, from);
                from = fetched.next_offset;
            }
            other => panic!("nobody else is in the group: {other:?}"),
        }
    }
    from
}

/// Arrivals, room for another batch, the end of a pause and a seek: each wakes the thread.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_a_look_at_every_partition() {
    let (_cluster, mut reader, producer) = joined(1).await;
    reader.both.every.set(NEVER).unwrap();
    let at = [first()];
    let mut stands = 0;
    for _ in 0..ROUNDS {
        burst(&producer).await;
        stands = read(&mut reader, stands).await;
        reader.pause(&at);
        let looks = reader.both.looks.load(Ordering::Relaxed);
        burst(&producer).await;
        // The thread was told of what has come, and may not take it: nobody tells it once more.
        passes(&reader.both.looks, looks).await;
        let before = stands;
        reader.resume(&at);
        stands = read(&mut reader, before).await;
        reader.seek(&at[0], before).unwrap();
        assert_eq!(read(&mut reader, before).await, stands);
    }
    Box::new(reader).close().await.unwrap();
}
