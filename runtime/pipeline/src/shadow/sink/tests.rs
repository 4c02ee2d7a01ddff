use super::differences::{compare_commits, compare_rejections};
use super::*;
use crate::shadow::listen::{CommitSeen, Listeners, SinkItem};
use bytes::Bytes;
use jackfield_plugin::{Rejection, Span};

fn span(first_offset: i64) -> Span {
    Span {
        topic: "t".into(),
        topic_id: String::new(),
        partition: 0,
        first_offset,
        next_offset: first_offset + 1,
    }
}

fn put(task: u32, first_offset: i64) -> SinkItem {
    SinkItem::Put {
        task,
        span: span(first_offset),
        batch: Bytes::new(),
        rejected: Vec::new(),
    }
}

fn interval() -> SinkItem {
    SinkItem::Interval {
        commits: Vec::new(),
    }
}

fn firsts(items: &[SinkItem]) -> Vec<i64> {
    let first = |it: &SinkItem| match it {
        SinkItem::Put { span, .. } => span.first_offset,
        SinkItem::Staged { .. } | SinkItem::Interval { .. } => -1,
    };
    items.iter().map(first).collect()
}

#[tokio::test]
async fn it_begins_with_what_was_given_after_every_task_had_staged() {
    let listeners = Listeners::default();
    let mut items = listeners.add().unwrap();
    let staged = |task| SinkItem::Staged { task };
    for item in [
        put(0, 0),
        staged(0),
        put(0, 1),
        // One task could not stage: its records are in no commit yet.
        interval(),
        staged(0),
        put(0, 2),
        put(1, 5),
        staged(1),
        interval(),
        put(0, 3),
    ] {
        listeners.tell(|| item);
    }
    let until = Instant::now() + Duration::from_secs(60);
    let begin = boundary(&mut items, 2, until).await;
    assert_eq!(begin.end, None);
    assert_eq!(firsts(&begin.behind), [2]);
    let next = items.next().await.unwrap();
    assert_eq!(firsts(&[next]), [3]);
    listeners.dismiss();
    let begin = boundary(&mut items, 2, until).await;
    assert_eq!(begin.end, Some(running_ended()));
}

#[tokio::test]
async fn a_shadow_without_an_interval_to_begin_with_does_not_speak_for_the_new_version() {
    let listeners = Listeners::default();
    let mut items = listeners.add().unwrap();
    listeners.tell(|| put(0, 0));
    let until = Instant::now() + Duration::from_millis(1);
    let begin = boundary(&mut items, 1, until).await;
    let end = begin.end;
    assert!(matches!(end, Some(ShadowEnd::TooSlow { .. })), "{end:?}");
}

#[test]
fn who_was_overtaken_was_too_slow_and_did_not_fail() {
    let fenced = Failed::new("commit", Consequence::Fenced, "stands at 7, not at 3");
    let end = ended_by(&fenced);
    assert!(matches!(end, ShadowEnd::TooSlow { .. }), "{end:?}");
    let broken = Failed::new("commit", Consequence::Replace, "a bug");
    let end = ended_by(&broken);
    assert!(matches!(end, ShadowEnd::Failed { .. }), "{end:?}");
}

#[test]
fn a_record_that_only_one_rejects_is_a_difference() {
    let rejection = |index| Rejection {
        index,
        reason: format!("reason {index}"),
    };
    let mut found = SinkFound::default();
    let (running, new) = ([rejection(1), rejection(2)], [rejection(2), rejection(3)]);
    compare_rejections(&span(7), &running, &new, &mut found);
    let told = &found.sink.differences;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("only the running version rejects record 1"));
    assert!(told[1].contains("only the new version rejects record 3"));
    let seen = CommitSeen {
        target: "a".into(),
        spans: Vec::new(),
        committed: Committed {
            rows: 3,
            ..Committed::default()
        },
    };
    compare_commits(&seen, seen.committed, &mut found);
    compare_commits(&seen, Committed::default(), &mut found);
    assert_eq!(found.sink.differences.len(), 3, "rows differ once");
    assert_eq!(found.sink.running["a"].rows, 6);
}
