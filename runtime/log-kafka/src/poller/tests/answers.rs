//! Answers that come late, or twice.

use super::cluster::Cluster;
use super::{TOPIC, first, spec, started};
use crate::cursor::Cursor;
use crate::membership::Both;
use crate::poller::Poller;
use crate::reader;
use crate::shared::Shared;
use crate::stand::Answer;
use jackfield_log::{Assignment, Ends, LogError, ReaderEvent};
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

/// The number of the assignment that holds; another one came before it.
const NUMBER: u64 = 2;

/// A thread's state with one partition, of which it was asked where it stands.
fn poller() -> (Cluster, Poller) {
    let (cluster, config) = started();
    let shared = Shared::new(config).unwrap();
    let both = Arc::new(Both::default());
    let consumer = reader::consumer(&shared, &spec(), &both).unwrap();
    let format = shared.config.format_of(TOPIC);
    let cursor = Cursor::new(&consumer, &both, first(), format, NUMBER).unwrap();
    let mut poller = Poller::new(shared, both, consumer, vec![TOPIC.into()]);
    poller.cursors.insert(first(), cursor);
    poller.asked.insert(first());
    (cluster, poller)
}

fn assignment() -> Assignment {
    Assignment {
        at: first(),
        topic_id: Uuid::nil(),
        committed: None,
        ends: Ends { start: 0, end: 7 },
    }
}

fn hear(poller: &mut Poller, number: u64, stand: Result<Vec<Assignment>, LogError>) {
    let answer = Answer::Stand(vec![(first(), number)], stand);
    poller.answer.send(answer).unwrap();
    poller.hear();
}

fn told(poller: &Poller) -> Option<ReaderEvent> {
    poller.both.state().next().map(Result::unwrap)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_about_an_assignment_of_before_is_not_told() {
    let (_cluster, mut poller) = poller();
    hear(&mut poller, NUMBER - 1, Ok(vec![assignment()]));
    assert_eq!(told(&poller), None);
    let failed = Err(LogError::Retriable("it failed".into()));
    hear(&mut poller, NUMBER - 1, failed);
    assert!(poller.asked.contains(&first()), "another is on its way");
    hear(&mut poller, NUMBER, Ok(vec![assignment()]));
    let assigned = ReaderEvent::Assigned(vec![assignment()]);
    assert_eq!(told(&poller), Some(assigned));
    assert!(!poller.asked.contains(&first()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_twice_is_told_once() {
    let (_cluster, mut poller) = poller();
    hear(&mut poller, NUMBER, Ok(vec![assignment()]));
    assert!(told(&poller).is_some());
    poller.both.state().seek(&first(), 3);
    hear(&mut poller, NUMBER, Ok(vec![assignment()]));
    assert_eq!(told(&poller), None);
    let position = poller.both.state().held[&first()].position;
    assert_eq!(position, Some(3), "the reader stands where it was");
}

/// What is lost is told before it is assigned anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_assigned_anew_is_told_after_its_loss() {
    let (_cluster, mut poller) = poller();
    hear(&mut poller, NUMBER, Ok(vec![assignment()]));
    assert!(told(&poller).is_some());
    poller.both.state().lose(&[first()]);
    hear(&mut poller, NUMBER, Ok(vec![assignment()]));
    // And again, for as long as the loss was not told.
    poller.ask_again = Some(Instant::now());
    poller.hear();
    assert!(poller.ask_again.is_some(), "the reader has not heard yet");
    assert_eq!(told(&poller), Some(ReaderEvent::Lost(vec![first()])));
    assert_eq!(told(&poller), None);
    assert!(poller.ask_again.is_some(), "it is asked again");
}

/// A member that has nothing any more is told so, if it was told nothing yet.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_about_nothing_answers_a_member_that_has_nothing() {
    let (_cluster, mut poller) = poller();
    poller.cursors.clear();
    hear(&mut poller, NUMBER, Ok(vec![assignment()]));
    assert_eq!(told(&poller), Some(ReaderEvent::Assigned(Vec::new())));
}
