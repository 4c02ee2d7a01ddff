//! A mapping read by the catalogue: unknown, missing and refused keys are found when it is opened.

use crate::catalogue::{self, Field, Need, Section, Shape};
use crate::finding::{Finding, Findings, Kind, Pos};
use crate::leaf;
use crate::names::suggest;
use crate::tree::{Content, Entry, Node, Origin, Path, Scalar};
use crate::variables::HOLDER_PREFIX;

/// A value and the way to it.
pub(crate) struct Place<'a> {
    pub(crate) node: &'a Node,
    pub(crate) path: Path,
}

/// A name that the file chose, and what stands below it.
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    /// Where the name stands.
    pub(crate) at: Pos,
    pub(crate) place: Place<'a>,
}

/// A mapping whose keys are known.
pub(crate) struct Fields<'a> {
    section: &'static Section,
    pub(crate) path: Path,
    pub(crate) at: Pos,
    entries: &'a [Entry],
    /// The one key that a short form stands for.
    short: Option<(&'static str, &'a Node)>,
}

impl Place<'_> {
    pub(crate) fn error(&self, kind: Kind, message: impl Into<String>) -> Finding {
        Finding::error(kind, &self.path, self.node.at, message)
    }

    pub(crate) fn warning(&self, kind: Kind, message: impl Into<String>) -> Finding {
        Finding::warning(kind, &self.path, self.node.at, message)
    }

    pub(crate) fn is_short(&self) -> bool {
        matches!(self.node.content, Content::Scalar(_))
    }
}

impl<'a> Fields<'a> {
    /// Nothing stands here: every key has its default.
    fn empty(section: &'static Section, path: Path, at: Pos) -> Self {
        Fields {
            section,
            path,
            at,
            entries: &[],
            short: None,
        }
    }

    pub(crate) fn open(
        place: &Place<'a>,
        section: &'static Section,
        findings: &mut Findings,
    ) -> Option<Self> {
        let entries = mapping(place, section.what, findings)?;
        let fields = Fields {
            section,
            path: place.path.clone(),
            at: place.node.at,
            entries,
            short: None,
        };
        let mut refused = false;
        for entry in entries {
            match section.field(&entry.key) {
                Some(Field {
                    shape: Shape::NotBuiltIn(instead),
                    ..
                }) => {
                    refused = true;
                    findings.push(
                        Finding::error(
                            Kind::NotBuiltIn,
                            fields.path.key(&entry.key),
                            entry.at,
                            format!("`{}` is not built into this version", entry.key),
                        )
                        .mend(*instead),
                    );
                }
                Some(_) => {}
                None if std::ptr::eq(section, &catalogue::FILE)
                    && entry.key.starts_with(HOLDER_PREFIX) => {}
                None => findings.push(fields.unknown(entry)),
            }
        }
        for field in section.fields {
            // A key that was refused may stand for one that is required.
            if matches!(field.need, Need::Required) && !refused && fields.entry(field.key).is_none()
            {
                findings.push(
                    Finding::error(
                        Kind::MissingKey,
                        fields.path.key(field.key),
                        fields.at,
                        format!("{} needs `{}`", section.what, field.key),
                    )
                    .mend(format!("add `{}:`. {}", field.key, field.doc)),
                );
            }
        }
        Some(fields)
    }

    /// The long form, or the short form: one value that stands for that key.
    pub(crate) fn short_or_open(
        place: &Place<'a>,
        key: &'static str,
        section: &'static Section,
        findings: &mut Findings,
    ) -> Option<Self> {
        if place.is_short() && !place.node.is_nothing() {
            let empty = Fields::empty(section, place.path.clone(), place.node.at);
            return Some(Fields {
                short: Some((key, place.node)),
                ..empty
            });
        }
        Fields::open(place, section, findings)
    }

    fn unknown(&self, entry: &Entry) -> Finding {
        let key = crate::finding::shown(&entry.key);
        let elsewhere = catalogue::sections()
            .into_iter()
            .find(|section| section.field(&entry.key).is_some());
        let here = suggest("keys here", &entry.key, self.section.keys());
        let mend = match elsewhere {
            Some(section) if here.starts_with("keys here") && !section.place.is_empty() => {
                format!("`{key}` belongs to `{}`; {here}", section.place)
            }
            Some(_) | None => here,
        };
        Finding::error(
            Kind::UnknownKey,
            self.path.key(&entry.key),
            entry.at,
            format!("unknown key `{key}`"),
        )
        .mend(mend)
    }

    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn field(&self, key: &str) -> &'static Field {
        self.section
            .field(key)
            .expect("every key that is read is declared in the catalogue")
    }

    /// What stands below a key, if the key is there.
    pub(crate) fn given(&self, key: &str) -> Option<Place<'a>> {
        debug_assert!(
            self.section.field(key).is_some(),
            "`{key}` is declared in the catalogue"
        );
        if let Some((_, node)) = self.short.filter(|(short, _)| *short == key) {
            return Some(Place {
                node,
                path: self.path.clone(),
            });
        }
        let entry = self.entry(key)?;
        Some(Place {
            node: &entry.node,
            path: self.path.key(key),
        })
    }

    /// Reads what stands below a key, or its default.
    pub(crate) fn read<T>(
        &self,
        key: &str,
        findings: &mut Findings,
        parse: impl FnOnce(&'static Shape, &Place<'_>, &mut Findings) -> Option<T>,
    ) -> Option<T> {
        let field = self.field(key);
        match (self.given(key), field.need) {
            (Some(place), _) => parse(&field.shape, &place, findings),
            (None, Need::Default(text)) => {
                let scalar = Scalar {
                    text: text.to_owned(),
                    plain: true,
                    origin: Origin::Written,
                };
                let node = Node {
                    at: self.at,
                    content: Content::Scalar(scalar),
                };
                parse(
                    &field.shape,
                    &Place {
                        node: &node,
                        path: self.path.key(key),
                    },
                    findings,
                )
            }
            (None, Need::Required | Need::Optional(_)) => None,
        }
    }

    /// The section below a key; left out, it is there with all its defaults.
    pub(crate) fn section(&self, key: &str, findings: &mut Findings) -> Option<Fields<'a>> {
        let Shape::Section(section) = self.field(key).shape else {
            unreachable!("`{key}` is declared as a section");
        };
        match self.given(key) {
            Some(place) => Fields::open(&place, section, findings),
            None => Some(Fields::empty(section, self.path.key(key), self.at)),
        }
    }

    /// What stands in the mapping below a key, names checked.
    pub(crate) fn named(&self, key: &str, findings: &mut Findings) -> Vec<Named<'a>> {
        let Shape::Map { names, .. } = self.field(key).shape else {
            unreachable!("`{key}` is declared as a mapping");
        };
        let Some(place) = self.given(key) else {
            return Vec::new();
        };
        let Some(entries) = mapping(&place, &format!("`{key}`"), findings) else {
            return Vec::new();
        };
        let mut named = Vec::with_capacity(entries.len());
        for entry in entries {
            let path = place.path.key(&entry.key);
            if !names.admits(&entry.key) {
                let mend = match names.nearest(&entry.key) {
                    Some(fits) => format!("such as `{fits}`: {}", names.words()),
                    None => names.words().to_owned(),
                };
                findings.push(
                    Finding::error(Kind::BadName, &path, entry.at, "this name can't be used")
                        .value(&entry.key)
                        .mend(mend),
                );
            }
            named.push(Named {
                name: &entry.key,
                at: entry.at,
                place: Place {
                    node: &entry.node,
                    path,
                },
            });
        }
        named
    }

    /// The items of the list below a key.
    pub(crate) fn items(&self, key: &str, findings: &mut Findings) -> Vec<Place<'a>> {
        let Shape::List { min, .. } = self.field(key).shape else {
            unreachable!("`{key}` is declared as a list");
        };
        let Some(place) = self.given(key) else {
            return Vec::new();
        };
        match &place.node.content {
            Content::List(nodes) if nodes.len() < min => {
                findings.push(
                    place
                        .error(Kind::OutOfRange, format!("`{key}` is empty"))
                        .mend("name at least one"),
                );
                Vec::new()
            }
            Content::List(nodes) => nodes
                .iter()
                .enumerate()
                .map(|(index, node)| Place {
                    node,
                    path: place.path.index(index),
                })
                .collect(),
            Content::Scalar(scalar) => {
                if scalar.origin != Origin::Broken {
                    findings.push(
                        leaf::wrong_type(&place, "a list")
                            .mend(format!("put it into brackets: `{key}: [ … ]`")),
                    );
                }
                Vec::new()
            }
            Content::Map(_) => {
                findings.push(leaf::wrong_type(&place, "a list").mend("begin each item with `- `"));
                Vec::new()
            }
        }
    }
}

/// The entries of a mapping; nothing at all is an empty one.
fn mapping<'a>(place: &Place<'a>, what: &str, findings: &mut Findings) -> Option<&'a [Entry]> {
    match &place.node.content {
        Content::Map(entries) => Some(entries),
        Content::Scalar(scalar) if scalar.origin == Origin::Broken => None,
        Content::Scalar(_) if place.node.is_nothing() => Some(&[]),
        Content::Scalar(_) | Content::List(_) => {
            findings.push(
                leaf::wrong_type(place, "a mapping")
                    .mend(format!("{what} is written as `key: value` lines")),
            );
            None
        }
    }
}
