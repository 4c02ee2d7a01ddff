//! Every key of the file, declared once: validation, the JSON Schema and docs/SETTINGS.md all
//! follow from here.

mod admin;
mod connectors;
mod lakes;
mod log;
mod process;
mod telemetry;

pub(crate) use connectors::{
    DEAD_LETTER, GRANT, HTTP_GRANT, PIPELINE, SINK, SOURCE, TOPIC, WEBSOCKET_GRANT,
};
pub(crate) use lakes::{CATALOG, LAKE, REST};
pub(crate) use process::{FILE, PLUGIN};

use crate::names::NameRule;

// Times in milliseconds, sizes in bytes.
const SECOND: u64 = 1000;
const DAY: u64 = 24 * 3600 * SECOND;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A mapping with known keys.
pub(crate) struct Section {
    /// Its name in the JSON Schema.
    pub(crate) id: &'static str,
    /// Where it stands: `pipelines.<pipeline>.source`.
    pub(crate) place: &'static str,
    /// One thing of its kind, for messages: "a sink".
    pub(crate) what: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) fields: &'static [Field],
}

pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) shape: Shape,
    pub(crate) need: Need,
    pub(crate) doc: &'static str,
}

/// What happens when a key is left out.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    Required,
    /// This stands in, read as if it had been written.
    Default(&'static str),
    /// This is what happens then.
    Optional(&'static str),
}

/// What is due at a place.
pub(crate) enum Shape {
    Text(Text),
    /// Text that is never shown.
    Secret(Text),
    Whole {
        min: u64,
        max: u64,
    },
    /// Milliseconds. `forever` is taken too where it is allowed.
    Time {
        min_ms: u64,
        max_ms: u64,
        forever: bool,
    },
    Size {
        min: u64,
        max: u64,
    },
    /// Words and what they mean.
    Choice(&'static [(&'static str, &'static str)]),
    Section(&'static Section),
    /// A mapping by names that the file chooses.
    Map {
        names: NameRule,
        each: &'static Shape,
    },
    List {
        each: &'static Shape,
        min: usize,
    },
    /// One word or text for the usual case, a section for more.
    Either {
        short: &'static Shape,
        long: &'static Section,
    },
    /// Anything: the plugin says what it means.
    Settings,
    /// Known, and refused: this is what to do instead.
    NotBuiltIn(&'static str),
}

/// What a text says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    /// Of a file or folder; relative to the file's own folder.
    Path,
    /// Of a folder, or a URI.
    Warehouse,
    SqlUri,
    HttpUrl,
    WebSocketUrl,
    /// Host and port.
    Address,
    Sha256,
    Topic,
    /// A feed of the pipeline, or a topic declared anywhere in the file.
    FeedOrTopic,
    Plugin,
    Lake,
    /// What another service knows by that name.
    Given,
    /// A value that is passed on as it is.
    Header,
    /// Likewise; numbers and truth values count as their text.
    TopicSetting,
    /// Likewise, of librdkafka or of a registry's client.
    Property,
    /// Hosts and ports, separated by commas.
    Servers,
    /// URLs of one registry, separated by commas.
    RegistryUrls,
    /// Of a cluster, a worker or a user: a text.
    Name,
}

impl Section {
    pub(crate) fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.fields
            .iter()
            .filter(|field| !matches!(field.shape, Shape::NotBuiltIn(_)))
            .map(|field| field.key)
    }
}

/// All sections, in the order in which people read of them.
pub(crate) fn sections() -> Vec<&'static Section> {
    let mut sections = vec![&FILE];
    let mut next = 0;
    while let Some(section) = sections.get(next).copied() {
        for field in section.fields {
            below(&field.shape, &mut sections);
        }
        next += 1;
    }
    sections
}

fn below(shape: &'static Shape, sections: &mut Vec<&'static Section>) {
    match shape {
        Shape::Section(section) | Shape::Either { long: section, .. } => {
            if sections.iter().all(|known| known.id != section.id) {
                sections.push(section);
            }
        }
        Shape::Map { each, .. } | Shape::List { each, .. } => below(each, sections),
        Shape::Text(_)
        | Shape::Secret(_)
        | Shape::Whole { .. }
        | Shape::Time { .. }
        | Shape::Size { .. }
        | Shape::Choice(_)
        | Shape::Settings
        | Shape::NotBuiltIn(_) => {}
    }
}
