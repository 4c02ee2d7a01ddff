//! Members of one group that read by themselves, and books of what they were told.

use super::bounds::within;
use super::corner::{Corner, is_sentinel};
use super::follower::Follower;
use super::records::Seen;
use crate::{ReaderEvent, TopicInfo, TopicPartition};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinSet};

/// Members of one group. Each seeks what it is assigned to what the group committed, and commits
/// what it read before it lets go of a partition.
pub(crate) struct Members {
    corner: Corner,
    group: String,
    topics: Vec<TopicInfo>,
    books: Arc<watch::Sender<Books>>,
    leaves: BTreeMap<String, oneshot::Sender<Leave>>,
    tasks: JoinSet<String>,
}

/// What the members of a group were told, all together.
#[derive(Debug, Default)]
pub(crate) struct Books {
    owners: BTreeMap<TopicPartition, String>,
    /// What was read and committed, in this order.
    pub(crate) done: Vec<(TopicPartition, Seen)>,
}

/// How a member leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Leave {
    Close,
    Drop,
}

impl Books {
    /// Whose a partition is.
    pub(crate) fn owner(&self, at: &TopicPartition) -> Option<&str> {
        self.owners.get(at).map(String::as_str)
    }

    /// How many partitions are this member's.
    pub(crate) fn owned_by(&self, member: &str) -> usize {
        self.owners.values().filter(|it| *it == member).count()
    }

    /// Whether so many partitions are these members' and each of them has one.
    pub(crate) fn shared_by(&self, members: &[&str], partitions: usize) -> bool {
        let owned = members.iter().map(|member| self.owned_by(member));
        owned.clone().all(|owned| owned > 0) && owned.sum::<usize>() == partitions
    }
}

impl Members {
    /// A group without members yet.
    pub(crate) fn of(corner: &Corner, group: &str, topics: &[&TopicInfo]) -> Self {
        Self {
            corner: corner.clone(),
            group: group.into(),
            topics: topics.iter().map(|topic| (*topic).clone()).collect(),
            books: Arc::new(watch::Sender::new(Books::default())),
            leaves: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// One more member, which reads from now on.
    pub(crate) async fn join(&mut self, member: &str) {
        let topics: Vec<&TopicInfo> = self.topics.iter().collect();
        let follower = self.corner.join(&self.group, member, &topics).await;
        let (leave, leaving) = oneshot::channel();
        self.leaves.insert(member.into(), leave);
        let books = Arc::clone(&self.books);
        self.tasks
            .spawn(run(follower, member.into(), books, leaving));
    }

    /// A member commits what it read, leaves, and has left when this returns.
    pub(crate) async fn leave(&mut self, member: &str, how: Leave) {
        let leave = self.leaves.remove(member).expect("only members leave");
        // A member that is gone already is found below.
        leave.send(how).ok();
        match within("a member leaves", self.tasks.join_next()).await {
            Some(Ok(left)) if left == member => {}
            ended => failed(ended),
        }
    }

    /// Waits until the books say so.
    pub(crate) async fn until(&mut self, what: &str, holds: impl FnMut(&Books) -> bool) {
        let mut books = self.books.subscribe();
        tokio::select! {
            said = within(what, books.wait_for(holds)) => drop(said.expect("the books are open")),
            ended = self.tasks.join_next(), if !self.tasks.is_empty() => failed(ended),
        }
    }

    /// What the books say now.
    pub(crate) fn books(&self) -> watch::Ref<'_, Books> {
        self.books.borrow()
    }

    /// All members leave.
    pub(crate) async fn end(mut self) {
        while let Some(member) = self.leaves.keys().next().cloned() {
            self.leave(&member, Leave::Close).await;
        }
    }
}

/// A member that ended though it was not told to.
fn failed(ended: Option<Result<String, JoinError>>) -> ! {
    match ended {
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        other => panic!("a member has left by itself: {other:?}"),
    }
}

async fn run(
    mut follower: Follower,
    member: String,
    books: Arc<watch::Sender<Books>>,
    mut leaving: oneshot::Receiver<Leave>,
) -> String {
    let how = loop {
        let event = tokio::select! {
            how = &mut leaving => break how.unwrap_or(Leave::Close),
            event = follower.try_next() => event.unwrap(),
        };
        match event {
            ReaderEvent::Assigned(assigned) => {
                for assignment in &assigned {
                    let before = enter(&books, &assignment.at, &member);
                    assert_eq!(before, None, "{} has two members", assignment.at);
                }
                follower.seek_to_committed(&assigned);
            }
            ReaderEvent::Revoking(partitions) => {
                settle(&mut follower, &partitions, &books).await;
                // Before it is released: from then on it may be another's.
                strike(&books, &partitions);
                follower.release(&partitions).await;
            }
            ReaderEvent::Lost(partitions) => {
                strike(&books, &partitions);
                for at in &partitions {
                    follower.take(at);
                }
            }
            ReaderEvent::Batch(fetched) => {
                if follower.seen(&fetched.at).iter().any(is_sentinel) {
                    settle(&mut follower, &[fetched.at], &books).await;
                }
            }
        }
    };
    let held = follower.held();
    settle(&mut follower, &held, &books).await;
    strike(&books, &held);
    match how {
        Leave::Close => follower.close().await,
        Leave::Drop => drop(follower),
    }
    member
}

/// Commits what was read of these partitions, and enters it as done.
async fn settle(follower: &mut Follower, at: &[TopicPartition], books: &watch::Sender<Books>) {
    let stands = at.iter().filter_map(|at| Some((at, follower.stands(at)?)));
    let offsets: Vec<(TopicPartition, i64)> =
        stands.map(|(at, offset)| (at.clone(), offset)).collect();
    if offsets.is_empty() {
        return;
    }
    follower.commit(&offsets).await.unwrap();
    let mut done = Vec::new();
    for at in at {
        let seen = follower.take(at);
        done.extend(seen.into_iter().map(|seen| (at.clone(), seen)));
    }
    books.send_modify(|books| books.done.extend(done));
}

/// Enters whose a partition is, and gives whose it was.
fn enter(books: &watch::Sender<Books>, at: &TopicPartition, member: &str) -> Option<String> {
    let mut before = None;
    books.send_modify(|books| before = books.owners.insert(at.clone(), member.into()));
    before
}

/// These partitions are nobody's, as far as this member knows.
fn strike(books: &watch::Sender<Books>, at: &[TopicPartition]) {
    books.send_modify(|books| at.iter().for_each(|at| drop(books.owners.remove(at))));
}
