//! docs/SETTINGS.md, from the catalogue.

use crate::catalogue::{self, Field, Need, Section, Shape, Text};
use crate::quantity::{show_bytes, show_duration};
use std::fmt::Write;
use std::time::Duration;

const HEAD: &str = "# Settings

Every key of `connectors.yaml`. This page is generated from the catalogue that also validates the file: \
`UPDATE_DOCS=1 cargo test -p jackfield-config --test docs` rewrites it. `jackfield check connectors.yaml` finds \
everything that is wrong with a file at once, `jackfield schema` prints a JSON Schema for editors.

## How values are written

| value | how |
|---|---|
| time | a whole number and `ms`, `s`, `m`, `h` or `d`: `500ms`, `10s`, `24h` |
| size | a whole number and `B`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`, `TB` or `TiB`; without a unit it is bytes: `512MiB`, `1GB` |
| path | relative paths start at the folder of the file |
| `${NAME}` | the environment variable; an error where it is not set |
| `${NAME:-default}` | the same, or the default where it is not set or empty |
| `${file:/path}` | a secret: what the file holds, without a line end at its end. Taken only where a secret can stand (marked *secret* below); it is never shown, and no plugin sees it |
| `$${` | `${` itself |

Variables are replaced in values, not in keys, and after the file was parsed: what a variable holds is one value, \
whatever it contains. In a place for anything (a plugin's `settings`) an unquoted `${N}` may become a number or a \
truth value, a quoted one is always text.

The file is YAML 1.2, one document: `no`, `on` and `yes` are text, `true` and `false` are truth values, and a number \
with a leading zero is refused. Anchors, aliases and `<<` work; keys at the top that begin with `x-` are left alone \
and can hold anchors.
";

/// The text of docs/SETTINGS.md.
pub fn settings_page() -> String {
    let mut page = HEAD.to_owned();
    for section in catalogue::sections() {
        let place = if section.place.is_empty() {
            "At the top".to_owned()
        } else {
            format!("`{}`", section.place)
        };
        let _ = write!(page, "\n## {place}\n\n{}\n\n", section.doc);
        page.push_str("| key | value | left out | what it is |\n|---|---|---|---|\n");
        for field in section.fields {
            let _ = writeln!(page, "{}", row(section, field));
        }
    }
    page
}

fn row(section: &Section, field: &Field) -> String {
    let need = match field.need {
        Need::Required => "**required**".to_owned(),
        Need::Default(default) => format!("`{default}`"),
        Need::Optional(instead) => instead.to_owned(),
    };
    let value = match field.shape {
        Shape::NotBuiltIn(_) => "not built into this version".to_owned(),
        _ => value(&field.shape),
    };
    let doc = match words(&field.shape) {
        words if words.is_empty() => field.doc.to_owned(),
        words => format!("{} {}", field.doc, words.join("; ")),
    };
    let cell = |text: String| text.replace('|', "\\|");
    debug_assert!(section.field(field.key).is_some());
    format!(
        "| `{}` | {} | {} | {} |",
        field.key,
        cell(value),
        cell(need),
        cell(doc)
    )
}

fn words(shape: &Shape) -> Vec<String> {
    match shape {
        Shape::Choice(words) => words
            .iter()
            .map(|(word, doc)| format!("`{word}`: {doc}"))
            .collect(),
        Shape::Either { short, .. } => words(short),
        Shape::Map { each, .. } => words(each),
        _ => Vec::new(),
    }
}

fn value(shape: &Shape) -> String {
    match shape {
        Shape::Text(text) | Shape::Secret(text) => {
            let what = match text {
                Text::Path => "path",
                Text::Warehouse => "path or URI",
                Text::SqlUri => "URI",
                Text::HttpUrl => "`https://` or `http://` URL",
                Text::WebSocketUrl => "`wss://` or `ws://` URL",
                Text::Address => "IP address and port",
                Text::Sha256 => "64 hexadecimal digits",
                Text::Topic => "name of a topic",
                Text::FeedOrTopic => "feed or topic",
                Text::Plugin => "name of a plugin",
                Text::Lake => "name of a lake",
                Text::Given | Text::Header => "text",
                Text::TopicSetting | Text::Property => "text, number or truth value",
                Text::Servers => "`host:port`, several separated by commas",
                Text::RegistryUrls => "`https://` or `http://` URL, several separated by commas",
                Text::Name => "text",
            };
            let secret = if matches!(shape, Shape::Secret(_)) {
                ", *secret*"
            } else {
                ""
            };
            format!("{what}{secret}")
        }
        Shape::Whole { min, max } => format!("whole number, {min} to {max}"),
        Shape::Time {
            min_ms,
            max_ms,
            forever,
        } => {
            let show = |ms: u64| show_duration(Duration::from_millis(ms));
            let forever = if *forever { ", or `forever`" } else { "" };
            format!("time, {} to {}{forever}", show(*min_ms), show(*max_ms))
        }
        Shape::Size { min, max } => format!("size, {} to {}", show_bytes(*min), show_bytes(*max)),
        Shape::Choice(words) => words
            .iter()
            .map(|(word, _)| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(" or "),
        Shape::Section(section) => link(section),
        Shape::Map { names, each } => {
            format!("mapping, by name ({}), of {}", names.words(), value(each))
        }
        Shape::List { each, .. } => format!("list of {}", value(each)),
        Shape::Either { short, long } => format!("{} or {}", value(short), link(long)),
        Shape::Settings => "mapping".to_owned(),
        Shape::NotBuiltIn(_) => "not built in".to_owned(),
    }
}

/// A link to a section's heading, as GitHub names anchors.
fn link(section: &Section) -> String {
    let anchor: String = section
        .place
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_ ".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect();
    format!("[mapping](#{anchor})")
}
