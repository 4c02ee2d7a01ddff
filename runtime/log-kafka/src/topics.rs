//! Topics: created as declared or checked against it, listed, deleted. None is ever altered.

use crate::consequence;
use crate::context::Context;
use crate::native::Described;
use crate::shared::{REQUEST_TIMEOUT, Shared};
use jackfield_log::{Cleanup, LogError, TopicInfo, TopicSpec};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long brokers may take to tell each other of a topic that was made or deleted.
pub(crate) const SPREAD_MAX: Duration = Duration::from_secs(30);
/// How often they are asked meanwhile.
pub(crate) const SPREAD_POLL: Duration = Duration::from_millis(20);
/// As many topics are described at once: a bound on the size of one answer.
const DESCRIBED_AT_ONCE: usize = 500;
/// Longest topic name.
const NAME_CHARS_MAX: usize = 249;

pub(crate) fn info(name: &str, described: &Described) -> TopicInfo {
    TopicInfo {
        name: name.into(),
        id: described.id,
        partitions: described.partitions,
    }
}

/// Creates a topic, or checks the one that there is.
pub(crate) async fn create(shared: &Arc<Shared>, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
    check_spec(spec)?;
    if let Some(described) = shared.describe(&spec.name).await? {
        return check(shared, spec, &described).await;
    }
    let cleanup = match spec.cleanup {
        Cleanup::Delete => "delete",
        Cleanup::Compact => "compact",
    };
    let replication = spec.replication.or(shared.config.replication);
    let replication = TopicReplication::Fixed(replication.map_or(-1, i32::from));
    let mut topic = NewTopic::new(&spec.name, spec.partitions, replication);
    if !spec.configs.contains_key("cleanup.policy") {
        topic = topic.set("cleanup.policy", cleanup);
    }
    for (name, value) in &spec.configs {
        topic = topic.set(name, value);
    }
    let options = AdminOptions::new()
        .request_timeout(Some(REQUEST_TIMEOUT))
        .operation_timeout(Some(REQUEST_TIMEOUT));
    let what = format!("the topic {} can't be created", spec.name);
    let created = shared.admin()?.create_topics([&topic], &options).await;
    match created
        .map_err(|e| consequence::kafka(&what, &e))?
        .into_iter()
        .next()
    {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | Some(Ok(_)) | None => {}
        Some(Err((_, code))) => return Err(consequence::error(code, format!("{what}: {code}"))),
    }
    let described = until(shared, &spec.name, |it| it.is_some()).await?;
    match described {
        Some(described) => check(shared, spec, &described).await,
        None => Err(LogError::Retriable(format!(
            "the topic {} was created, and the brokers don't know it yet",
            spec.name
        ))),
    }
}

fn check_spec(spec: &TopicSpec) -> Result<(), LogError> {
    let name = &spec.name;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let sound = (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.chars().all(allowed)
        && name != "."
        && name != "..";
    if !sound {
        return Err(LogError::Rejected(format!(
            "{name:?} is no topic's name: 1 to {NAME_CHARS_MAX} of a-z A-Z 0-9 . _ -"
        )));
    }
    if spec.partitions < 1 {
        return Err(LogError::Rejected(format!(
            "the topic {name} can't have {} partitions",
            spec.partitions
        )));
    }
    Ok(())
}

/// Compares a topic with its declaration. Another number of partitions is refused, since keys would
/// be elsewhere; other settings are only told, since whoever runs the cluster may have set them.
async fn check(
    shared: &Arc<Shared>,
    spec: &TopicSpec,
    described: &Described,
) -> Result<TopicInfo, LogError> {
    if described.partitions != spec.partitions {
        return Err(LogError::Rejected(format!(
            "the topic {} has {} partitions, and {} are declared",
            spec.name, described.partitions, spec.partitions
        )));
    }
    let replication = spec.replication.or(shared.config.replication);
    if let Some(declared) = replication.filter(|it| i32::from(*it) != described.replicas) {
        tracing::warn!(
            topic = %spec.name, declared, found = described.replicas,
            "a topic has another replication than its declaration; it is left as it is"
        );
    }
    if !spec.configs.is_empty()
        && let Err(error) = compare(shared, spec).await
    {
        tracing::warn!(topic = %spec.name, %error, "a topic's settings can't be compared");
    }
    Ok(info(&spec.name, described))
}

async fn compare(shared: &Shared, spec: &TopicSpec) -> Result<(), LogError> {
    let settings = settings(shared.admin()?, &spec.name).await;
    let settings = settings.map_err(|e| consequence::kafka(&unread(&spec.name), &e))?;
    for (name, declared) in &spec.configs {
        if let Some(found) = settings.get(name).filter(|found| *found != declared) {
            tracing::warn!(
                topic = %spec.name, setting = %name, declared, found,
                "a topic has another setting than its declaration; it is left as it is"
            );
        }
    }
    Ok(())
}

/// A topic's settings, by name, those of the brokers among them.
pub(crate) async fn settings(
    admin: &AdminClient<Context>,
    name: &str,
) -> Result<BTreeMap<String, String>, KafkaError> {
    let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
    let topic = ResourceSpecifier::Topic(name);
    let mut settings = BTreeMap::new();
    for resource in admin.describe_configs([&topic], &options).await? {
        let entries = resource.map_err(KafkaError::AdminOp)?.entries.into_iter();
        settings.extend(entries.filter_map(|entry| Some((entry.name, entry.value?))));
    }
    Ok(settings)
}

/// What failed when they were not read.
pub(crate) fn unread(name: &str) -> String {
    format!("the settings of the topic {name} can't be read")
}

/// Describes a topic until what is described is as it must become; the last answer.
async fn until(
    shared: &Arc<Shared>,
    name: &str,
    is_so: impl Fn(Option<&Described>) -> bool,
) -> Result<Option<Described>, LogError> {
    let deadline = Instant::now() + SPREAD_MAX;
    loop {
        let described = shared.describe(name).await?;
        if is_so(described.as_ref()) || Instant::now() >= deadline {
            return Ok(described);
        }
        tokio::time::sleep(SPREAD_POLL).await;
    }
}

pub(crate) async fn list(shared: &Arc<Shared>) -> Result<Vec<TopicInfo>, LogError> {
    shared
        .blocking(|it| {
            let metadata = it
                .admin()?
                .inner()
                .fetch_metadata(None, REQUEST_TIMEOUT)
                .map_err(|e| consequence::kafka("topics can't be listed", &e))?;
            let mut names: Vec<String> = metadata
                .topics()
                .iter()
                .map(|topic| topic.name().to_owned())
                // The brokers' own.
                .filter(|name| !name.starts_with("__"))
                .collect();
            names.sort_unstable();
            let mut topics = Vec::with_capacity(names.len());
            for names in names.chunks(DESCRIBED_AT_ONCE) {
                let described = it.describe_now(names)?;
                let found = names.iter().zip(described);
                topics.extend(found.filter_map(|(name, it)| Some(info(name, &it?))));
            }
            Ok(topics)
        })
        .await
}

pub(crate) async fn delete(shared: &Arc<Shared>, name: &str) -> Result<(), LogError> {
    let unknown = || LogError::Rejected(format!("there is no topic {name}"));
    let Some(before) = shared.describe(name).await? else {
        return Err(unknown());
    };
    let options = AdminOptions::new()
        .request_timeout(Some(REQUEST_TIMEOUT))
        .operation_timeout(Some(REQUEST_TIMEOUT));
    let what = format!("the topic {name} can't be deleted");
    let deleted = shared.admin()?.delete_topics(&[name], &options).await;
    match deleted
        .map_err(|e| consequence::kafka(&what, &e))?
        .into_iter()
        .next()
    {
        Some(Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))) => return Err(unknown()),
        Some(Err((_, code))) => return Err(consequence::error(code, format!("{what}: {code}"))),
        Some(Ok(_)) | None => {}
    }
    // One of that name that was made meanwhile is another's.
    let left = until(shared, name, |it| it.is_none_or(|now| now.id != before.id)).await?;
    shared.deleted(name);
    match left {
        Some(left) if left.id == before.id => Err(LogError::Retriable(format!(
            "the topic {name} was deleted, and the brokers still know it"
        ))),
        _ => Ok(()),
    }
}

/// The topic's partition, or why there is none.
pub(crate) async fn existing(
    shared: &Arc<Shared>,
    name: &str,
    partition: i32,
) -> Result<(), LogError> {
    let none = || LogError::Rejected(format!("there is no partition {partition} of {name}"));
    if partition < 0 {
        return Err(none());
    }
    let fits = |it: &Described| partition < it.partitions;
    if shared.topic(name).as_ref().is_some_and(fits) {
        return Ok(());
    }
    // It may have been made, or been given more partitions, since it was looked at.
    match shared.describe(name).await? {
        Some(described) if fits(&described) => Ok(()),
        Some(_) => Err(none()),
        None => Err(LogError::Rejected(format!("there is no topic {name}"))),
    }
}
