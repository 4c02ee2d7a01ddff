//! Each promise works in a corner of its own of a log that others use at the same time.

use super::Fixture;
use super::bounds::within;
use super::follower::Follower;
use super::records::{Seen, of, output};
use crate::{
    Append, Appended, Assignment, Ends, Identity, Log, LogError, ReaderSpec, Start, Stored,
    TopicInfo, TopicPartition, TopicSpec, Writer,
};
use std::sync::Arc;
use uuid::Uuid;

/// How the last record of a partition begins when all of it is to be read.
const SENTINEL: &str = "sentinel";

/// A log, and names in it that nobody else has.
#[derive(Clone)]
pub(crate) struct Corner {
    pub(crate) log: Arc<dyn Log>,
    cluster: String,
    tag: String,
}

impl Corner {
    pub(crate) async fn of(fixture: &dyn Fixture) -> Self {
        Self {
            log: within("the log opens", fixture.log()).await,
            cluster: fixture.cluster(),
            tag: Uuid::new_v4().simple().to_string(),
        }
    }

    /// The same after a restart, where the fixture can restart its log. All that came from the log
    /// must be gone.
    pub(crate) async fn restarted(self, fixture: &dyn Fixture) -> Self {
        let log = match within("the log opens again", fixture.reopen(self.log)).await {
            Some(log) => log,
            None => within("the log opens", fixture.log()).await,
        };
        Self { log, ..self }
    }

    /// A name that nobody else has.
    pub(crate) fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.tag)
    }

    /// Creates a topic.
    pub(crate) async fn topic(&self, what: &str, partitions: i32) -> TopicInfo {
        self.create(&TopicSpec::new(self.name(what), partitions))
            .await
            .unwrap()
    }

    pub(crate) async fn create(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        within("a topic is created", self.log.create_topic(spec)).await
    }

    pub(crate) async fn describe(&self, name: &str) -> Option<TopicInfo> {
        within("a topic is described", self.log.describe_topic(name))
            .await
            .unwrap()
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<(), LogError> {
        within("a topic is deleted", self.log.delete_topic(name)).await
    }

    pub(crate) async fn ends(&self, topic: &TopicInfo, partition: i32) -> Ends {
        within("ends are told", self.log.ends(&topic.name, partition))
            .await
            .unwrap()
    }

    /// A slot of the corner's only connector.
    pub(crate) fn identity(&self, slot: &str) -> Identity {
        Identity {
            cluster: self.cluster.clone(),
            connector: self.name("connector"),
            slot: slot.into(),
        }
    }

    pub(crate) async fn writer(&self, slot: &str) -> Box<dyn Writer> {
        self.writer_of(&self.identity(slot)).await
    }

    pub(crate) async fn writer_of(&self, identity: &Identity) -> Box<dyn Writer> {
        within("a writer opens", self.log.writer(identity))
            .await
            .unwrap()
    }

    pub(crate) async fn stored(&self, slot: &str) -> Stored {
        self.stored_of(&self.identity(slot)).await
    }

    pub(crate) async fn stored_of(&self, identity: &Identity) -> Stored {
        within("what is stored is told", self.log.stored(identity))
            .await
            .unwrap()
    }

    /// A member to join the corner's group of that name.
    pub(crate) fn spec(&self, group: &str, member: &str, topics: &[&TopicInfo]) -> ReaderSpec {
        ReaderSpec {
            group: self.name(group),
            member: member.into(),
            topics: topics.iter().map(|topic| topic.name.to_string()).collect(),
            start: Start::Earliest,
        }
    }

    /// Joins a group.
    pub(crate) async fn join(&self, group: &str, member: &str, topics: &[&TopicInfo]) -> Follower {
        Follower::open(&self.log, &self.spec(group, member, topics)).await
    }

    /// Joins a group that nobody else is in, and waits until all partitions are this member's.
    pub(crate) async fn join_alone(
        &self,
        group: &str,
        topics: &[&TopicInfo],
    ) -> (Follower, Vec<Assignment>) {
        let mut follower = self.join(group, "alone", topics).await;
        let assigned = follower.until_held(&all(topics)).await;
        (follower, assigned)
    }

    /// A reader that stands at the beginning of all partitions, in a group of its own.
    pub(crate) async fn at_start(&self, topics: &[&TopicInfo]) -> Follower {
        let group = Uuid::new_v4().simple().to_string();
        let (mut follower, assigned) = self.join_alone(&group, topics).await;
        for assignment in assigned {
            follower.seek(&assignment.at, assignment.ends.start);
        }
        follower
    }

    /// Appends a last record to each partition of a topic, and gives its text.
    pub(crate) async fn append_sentinels(&self, topic: &TopicInfo) -> String {
        let sentinel = format!("{SENTINEL}-{}", Uuid::new_v4().simple());
        let identity = Identity {
            connector: sentinel.clone(),
            ..self.identity("0")
        };
        let mut writer = self.writer_of(&identity).await;
        let outputs = (0..topic.partitions).map(|partition| output(topic, partition, &[&sentinel]));
        append_ok(&mut writer, of(outputs)).await;
        close(writer).await;
        sentinel
    }

    /// All records of a topic, by partition. All that is acknowledged before the call is among
    /// them, since a record appended now is read after it.
    pub(crate) async fn content(&self, topic: &TopicInfo) -> Vec<Vec<Seen>> {
        let sentinel = self.append_sentinels(topic).await;
        let mut follower = self.at_start(&[topic]).await;
        let partitions = all(&[topic]);
        follower
            .until("all of a topic is read", |it| {
                partitions
                    .iter()
                    .all(|at| it.seen(at).iter().any(|seen| seen.text_is(&sentinel)))
            })
            .await;
        let content = partitions
            .iter()
            .map(|at| {
                let mut seen = follower.take(at);
                seen.retain(|it| !is_sentinel(it));
                seen
            })
            .collect();
        follower.close().await;
        content
    }
}

/// Whether it is a last record that [`Corner::append_sentinels`] appended.
pub(crate) fn is_sentinel(seen: &Seen) -> bool {
    let value = seen.record.value.as_deref();
    value.is_some_and(|value| value.starts_with(SENTINEL.as_bytes()))
}

/// All partitions of these topics.
pub(crate) fn all(topics: &[&TopicInfo]) -> Vec<TopicPartition> {
    topics
        .iter()
        .flat_map(|topic| (0..topic.partitions).map(|partition| at(topic, partition)))
        .collect()
}

/// One partition of a topic.
pub(crate) fn at(topic: &TopicInfo, partition: i32) -> TopicPartition {
    TopicPartition::new(topic.name.clone(), partition)
}

/// Appends, and waits for the outcome: the call's own, or what its `Pending` says.
pub(crate) async fn append(
    writer: &mut Box<dyn Writer>,
    append: Append,
) -> Result<Appended, LogError> {
    let pending = within("an append is queued", writer.append(append)).await?;
    within("an append has its outcome", pending).await
}

/// Appends, which must succeed.
pub(crate) async fn append_ok(writer: &mut Box<dyn Writer>, what: Append) -> Appended {
    append(writer, what).await.unwrap()
}

/// Closes a writer.
pub(crate) async fn close(writer: Box<dyn Writer>) {
    within("a writer closes", writer.close()).await.unwrap();
}
