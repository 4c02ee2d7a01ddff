//! Keys of Kafka Connect that can't be honoured: each is an error and says what to do instead.

/// Whole keys, and beginnings of keys that end with a dot.
const REFUSED: &[(&str, &str)] = &[
    (
        "transforms",
        "there are no transforms: join source and sink directly",
    ),
    (
        "transforms.",
        "there are no transforms: join source and sink directly",
    ),
    (
        "predicates",
        "there are no transforms, and so no predicates",
    ),
    (
        "predicates.",
        "there are no transforms, and so no predicates",
    ),
    ("topics.regex", "name the topics in `topics`"),
    (
        "header.converter",
        "headers are kept as they are: remove it",
    ),
    (
        "header.converter.",
        "headers are kept as they are: remove it",
    ),
    ("key.converter.", "keys are UTF-8 strings: remove it"),
    (
        "value.converter.",
        "the log's `format` and `schema-registry` in the file say how records lie there: remove it",
    ),
    (
        "errors.retry.delay.max.ms",
        "waits between tries are the runtime's own, with jitter: remove it",
    ),
    (
        "errors.deadletterqueue.topic.replication.factor",
        "the log's `replication` in the file says it: remove it",
    ),
    (
        "topic.creation.groups",
        "new topics are all made as `topic.creation.default.…` says",
    ),
    (
        "offsets.storage.topic",
        "the log's `positions-topic` in the file says it for all connectors: remove it",
    ),
    (
        "consumer.override.",
        "only `consumer.override.auto.offset.reset` is known: consumers are set up in the file's `log`",
    ),
    (
        "producer.override.",
        "producers are set up in the file's `log`: remove it",
    ),
    (
        "admin.override.",
        "clients of Kafka are set up in the file's `log`: remove it",
    ),
];

/// Why a key can't be honoured, if it is one of these.
pub(crate) fn reason(key: &str) -> Option<&'static str> {
    let is = |entry: &str| match entry.strip_suffix('.') {
        Some(_) => key.starts_with(entry),
        None => key == entry,
    };
    REFUSED
        .iter()
        .find(|(entry, _)| is(entry))
        .map(|(_, reason)| *reason)
}
