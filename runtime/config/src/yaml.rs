//! YAML text → tree. YAML 1.2, one document, anchors and merge keys within bounds.

use crate::finding::{Finding, Findings, Kind, Pos};
use crate::tree::{Content, Entry, Node, Origin, Path, Scalar};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

/// Longest file, bytes: thousands of connectors fit; beyond, something else was given to us.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most nodes, aliases expanded: bounds what a few lines of nested aliases can become.
pub const NODES_MAX: usize = 200_000;
/// Deepest nesting: configuration needs ten, plugin settings some more. Bounds recursion.
pub const DEPTH_MAX: usize = 64;

pub(crate) const EMPTY: &str = "the file is empty";
pub(crate) const EMPTY_MEND: &str = "begin with `pipelines:`; docs/SETTINGS.md explains every key";

/// The tree of a file, or why there is none. A tree may come with errors in `findings`, such as a
/// key given twice.
pub(crate) fn parse(text: &str, findings: &mut Findings) -> Option<Node> {
    if text.len() > FILE_BYTES_MAX {
        findings.push(
            Finding::error(
                Kind::TooLarge,
                "",
                Pos { line: 1, column: 1 },
                "the file is too large",
            )
            .value(format!("{} bytes", text.len()))
            .mend(format!("at most {FILE_BYTES_MAX} bytes are read")),
        );
        return None;
    }
    let mut builder = Builder::default();
    match builder.read(text, findings) {
        Ok(()) => {
            if builder.root.is_none() {
                let at = Pos { line: 1, column: 1 };
                findings.push(Finding::error(Kind::Empty, "", at, EMPTY).mend(EMPTY_MEND));
            }
            builder.root
        }
        Err(finding) => {
            findings.push(*finding);
            None
        }
    }
}

type Stop = Box<Finding>;

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    documents: usize,
}

/// A list or mapping whose end was not seen yet.
struct Open {
    at: Pos,
    anchor: usize,
    path: Path,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        keys: HashSet<String>,
        key: Option<(String, Pos)>,
        merged: Vec<Node>,
    },
}

impl Builder {
    fn read(&mut self, text: &str, findings: &mut Findings) -> Result<(), Stop> {
        let mut parser = Parser::new(StrInput::new(text));
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| syntax(text, &error))?;
            let at = pos(&span.start);
            match event {
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                Event::DocumentStart(_) => {
                    self.documents += 1;
                    if self.documents > 1 {
                        let finding = Finding::error(
                            Kind::Unsupported,
                            "",
                            at,
                            "a second document begins here",
                        );
                        return Err(Box::new(
                            finding.mend("one file is one document: remove the `---`"),
                        ));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let plain = style == ScalarStyle::Plain && !is_text(tag.as_deref());
                    self.refuse_tag(tag.as_ref(), &["str", "int", "float", "bool", "null"], at)?;
                    let scalar = Scalar {
                        text: text.into_owned(),
                        plain,
                        origin: Origin::Written,
                    };
                    self.add(
                        Node {
                            at,
                            content: Content::Scalar(scalar),
                        },
                        anchor,
                        findings,
                    )?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.refuse_tag(tag.as_ref(), &["seq"], at)?;
                    self.begin(at, anchor, Inside::List(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.refuse_tag(tag.as_ref(), &["map"], at)?;
                    let (entries, keys, merged) = Default::default();
                    self.begin(
                        at,
                        anchor,
                        Inside::Map {
                            entries,
                            keys,
                            key: None,
                            merged,
                        },
                    )?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.end(findings)?,
                Event::Alias(anchor) => {
                    let Some(node) = self.anchors.get(&anchor) else {
                        let finding = Finding::error(
                            Kind::Unsupported,
                            self.path(),
                            at,
                            "an alias inside its own anchor",
                        );
                        return Err(Box::new(
                            finding.mend("an anchored value can't contain itself: write it out"),
                        ));
                    };
                    self.nodes += node.size();
                    let node = node.clone();
                    self.add(node, 0, findings)?;
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, at: Pos, anchor: usize, inside: Inside) -> Result<(), Stop> {
        let path = self.path();
        if self.open.len() >= DEPTH_MAX {
            let finding = Finding::error(Kind::TooLarge, path, at, "nested too deeply");
            return Err(Box::new(
                finding.mend(format!("at most {DEPTH_MAX} levels are read")),
            ));
        }
        if let Some(Open {
            inside: Inside::Map { key: None, .. },
            ..
        }) = self.open.last()
        {
            return Err(Box::new(complex_key(path, at)));
        }
        self.open.push(Open {
            at,
            anchor,
            path,
            inside,
        });
        Ok(())
    }

    fn end(&mut self, findings: &mut Findings) -> Result<(), Stop> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let content = match open.inside {
            Inside::List(nodes) => Content::List(nodes),
            Inside::Map {
                mut entries,
                mut keys,
                merged,
                ..
            } => {
                for node in merged {
                    merge(node, &mut entries, &mut keys, &open.path, findings);
                }
                Content::Map(entries)
            }
        };
        self.add(
            Node {
                at: open.at,
                content,
            },
            open.anchor,
            findings,
        )
    }

    /// Puts a finished node where it belongs: as a key, below a key, into a list, or at the top.
    fn add(&mut self, node: Node, anchor: usize, findings: &mut Findings) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let finding = Finding::error(Kind::TooLarge, self.path(), node.at, "too many values");
            return Err(Box::new(finding.mend(format!(
                "at most {NODES_MAX} are read, those behind aliases counted each time"
            ))));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
            self.nodes += node.size();
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.inside {
            Inside::List(nodes) => nodes.push(node),
            Inside::Map {
                entries,
                keys,
                key,
                merged,
            } => match key.take() {
                None => match node.content {
                    Content::Scalar(scalar) => *key = Some((scalar.text, node.at)),
                    Content::List(_) | Content::Map(_) => {
                        return Err(Box::new(complex_key(open.path.clone(), node.at)));
                    }
                },
                Some((key, _)) if key == "<<" => merged.push(node),
                Some((key, at)) => {
                    if keys.insert(key.clone()) {
                        entries.push(Entry { key, at, node });
                    } else {
                        findings.push(duplicate(&open.path, &key, at, entries));
                    }
                }
            },
        }
        Ok(())
    }

    /// The way to what comes next.
    fn path(&self) -> Path {
        match self.open.last() {
            None => Path::default(),
            Some(Open {
                path,
                inside: Inside::List(nodes),
                ..
            }) => path.index(nodes.len()),
            Some(Open {
                path,
                inside:
                    Inside::Map {
                        key: Some((key, _)),
                        ..
                    },
                ..
            }) => path.key(key),
            Some(Open { path, .. }) => path.clone(),
        }
    }

    fn refuse_tag(&self, tag: Option<&Cow<'_, Tag>>, known: &[&str], at: Pos) -> Result<(), Stop> {
        let Some(tag) = tag else { return Ok(()) };
        if (tag.is_yaml_core_schema() && known.contains(&tag.suffix.as_str())) || is_text(Some(tag))
        {
            return Ok(());
        }
        let finding = Finding::error(
            Kind::Unsupported,
            self.path(),
            at,
            "a tag that means nothing here",
        );
        Err(Box::new(
            finding
                .value(tag.to_string())
                .mend("remove the tag, or put the text into quotes"),
        ))
    }
}

/// `<<: *base`: entries of the base that are not given here themselves.
fn merge(
    base: Node,
    entries: &mut Vec<Entry>,
    keys: &mut HashSet<String>,
    path: &Path,
    findings: &mut Findings,
) {
    match base.content {
        Content::Map(base) => {
            for entry in base {
                if keys.insert(entry.key.clone()) {
                    entries.push(entry);
                }
            }
        }
        Content::List(bases)
            if bases
                .iter()
                .all(|base| matches!(base.content, Content::Map(_))) =>
        {
            for base in bases {
                merge(base, entries, keys, path, findings);
            }
        }
        Content::Scalar(_) | Content::List(_) => findings.push(
            Finding::error(
                Kind::WrongType,
                path.key("<<"),
                base.at,
                "only mappings can be merged",
            )
            .mend("write `<<: *name`, where `&name` stands before a mapping"),
        ),
    }
}

fn duplicate(path: &Path, key: &str, at: Pos, entries: &[Entry]) -> Finding {
    let first = entries
        .iter()
        .find(|entry| entry.key == key)
        .map(|entry| entry.at.line)
        .unwrap_or_default();
    Finding::error(
        Kind::DuplicateKey,
        path.key(key),
        at,
        format!("key `{}` is given twice", crate::finding::shown(key)),
    )
    .mend(format!("keep one: the other is on line {first}"))
}

fn complex_key(path: Path, at: Pos) -> Finding {
    Finding::error(Kind::Unsupported, path, at, "a list or mapping as a key")
        .mend("keys are text: if a value begins with `{` or `[` or `${`, put quotes around it")
}

/// `!` and `!!str` say that the scalar is text, whatever it looks like.
fn is_text(tag: Option<&Tag>) -> bool {
    tag.is_some_and(|tag| {
        (tag.is_yaml_core_schema() && tag.suffix == "str")
            || (tag.handle.is_empty() && tag.suffix == "!")
    })
}

fn pos(marker: &Marker) -> Pos {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Pos {
        line: number(marker.line()),
        column: number(marker.col() + 1),
    }
}

fn syntax(text: &str, error: &ScanError) -> Stop {
    let at = pos(error.marker());
    let line = text
        .lines()
        .nth(at.line.saturating_sub(1) as usize)
        .unwrap_or_default();
    let indent = &line[..line.len() - line.trim_start().len()];
    let mend = if indent.contains('\t') {
        "YAML indents with spaces: replace the tab"
    } else if line.trim_start().starts_with(['@', '`', '%'])
        || line.contains(": @")
        || line.contains(": `")
    {
        "text that begins with `@`, `%` or a backtick needs quotes"
    } else if line.matches(": ").count() > 1 && !line.contains('{') {
        "text that contains `: ` needs quotes"
    } else {
        "check the indentation, the quotes and the brackets on this line and the one before"
    };
    Box::new(Finding::error(Kind::Syntax, "", at, format!("not YAML: {}", error.info())).mend(mend))
}
