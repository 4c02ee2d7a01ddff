use super::*;
use crate::shadow::Listeners;
use jackfield_plugin::Span;

/// Between two batches of a slow sink.
const EVERY: Duration = Duration::from_secs(7);
/// A recording's span, much longer than whoever takes it waits for a chunk.
const SPAN: Duration = Duration::from_secs(1200);

fn out() -> (Out, mpsc::Receiver<Bytes>) {
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let out = Out {
        sender,
        chunk: Vec::new(),
        left: RECORDING_BYTES_MAX,
        sent: Instant::now(),
    };
    (out, receiver)
}

/// The longest wait for a chunk while `sections` are added one by one.
async fn longest_wait(sections: &[u8]) -> Duration {
    let (mut out, mut receiver) = out();
    let (begin, mut last) = (Instant::now(), Instant::now());
    let mut longest = Duration::ZERO;
    while begin.elapsed() < SPAN {
        tokio::time::sleep(EVERY).await;
        if sections.is_empty() {
            out.flush().await.unwrap();
        } else {
            out.add(sections).await.unwrap();
        }
        while receiver.try_recv().is_ok() {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
    }
    longest.max(last.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_chunk_comes_in_time_whether_there_is_nothing_or_little() {
    for sections in [&b""[..], &b"a little"[..]] {
        let longest = longest_wait(sections).await;
        assert!(longest < QUIET_MAX + EVERY, "{longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_sink_that_never_ends_ends_to_pass_on_what_there_is() {
    let (mut out, mut receiver) = out();
    let listeners = Listeners::default();
    let mut items = listeners.add().unwrap();
    let until = Instant::now() + SPAN;
    let span = Span {
        topic: "t".into(),
        topic_id: String::new(),
        partition: 0,
        first_offset: 0,
        next_offset: 1,
    };
    out.add(&recording::sink_batch(0, &span, b"records"))
        .await
        .unwrap();
    assert!(receiver.try_recv().is_err(), "it may wait for more");
    tokio::time::sleep(EVERY).await;
    let waited = Instant::now();
    let heard = next(&mut items, &out, until).await;
    assert!(matches!(heard, Heard::Nothing));
    assert!(waited.elapsed() < QUIET_MAX, "since the last chunk");
    out.flush().await.unwrap();
    assert!(!receiver.try_recv().unwrap().is_empty());
}
