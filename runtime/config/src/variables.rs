//! `${NAME}`, `${NAME:-default}`, `${file:/path}`; `$${` is `${` itself.
//!
//! Replaced after parsing and in values only, so that no value can bring YAML in: what a variable
//! holds is one scalar, whatever it contains.

use crate::context::ParseContext;
use crate::finding::{Finding, Findings, Kind, Pos};
use crate::tree::{Content, Node, Origin, Path, Scalar};
use std::io;

/// Longest secret, bytes: keys and certificates are shorter; beyond, the wrong file was named.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// Keys at the top that hold anchors for other places, and nothing else.
pub(crate) const HOLDER_PREFIX: &str = "x-";

/// Replaces all variables of a file.
pub(crate) fn replace(root: &mut Node, context: &ParseContext<'_>, findings: &mut Findings) {
    if let Content::Map(entries) = &mut root.content {
        for entry in entries
            .iter_mut()
            .filter(|entry| !entry.key.starts_with(HOLDER_PREFIX))
        {
            let path = Path::default().key(&entry.key);
            refuse_in_key(&entry.key, entry.at, &path, findings);
            below(&mut entry.node, &path, context, findings);
        }
    }
}

fn below(node: &mut Node, path: &Path, context: &ParseContext<'_>, findings: &mut Findings) {
    match &mut node.content {
        Content::Scalar(scalar) => in_scalar(scalar, node.at, path, context, findings),
        Content::List(nodes) => {
            for (index, node) in nodes.iter_mut().enumerate() {
                below(node, &path.index(index), context, findings);
            }
        }
        Content::Map(entries) => {
            for entry in entries {
                let path = path.key(&entry.key);
                refuse_in_key(&entry.key, entry.at, &path, findings);
                below(&mut entry.node, &path, context, findings);
            }
        }
    }
}

fn refuse_in_key(key: &str, at: Pos, path: &Path, findings: &mut Findings) {
    if key.contains("${") {
        findings.push(
            Finding::error(
                Kind::BadVariable,
                path,
                at,
                "variables are not replaced in keys",
            )
            .mend("write the key out"),
        );
    }
}

fn in_scalar(
    scalar: &mut Scalar,
    at: Pos,
    path: &Path,
    context: &ParseContext<'_>,
    findings: &mut Findings,
) {
    if !scalar.text.contains("${") {
        return;
    }
    let mut replaced = String::with_capacity(scalar.text.len());
    let mut origin = Origin::Written;
    for piece in pieces(&scalar.text) {
        let problem = match piece {
            Piece::Text(text) => {
                replaced.push_str(text);
                continue;
            }
            Piece::Variable { name, default } => {
                // As in a shell, `:-` also stands in for a variable that is set to nothing.
                let value = (context.env)(name).filter(|value| default.is_none() || !value.is_empty());
                match value.as_deref().or(default) {
                    Some(value) => {
                        replaced.push_str(value);
                        origin = origin.with(Origin::Variable);
                        continue;
                    }
                    None => Finding::error(Kind::UndefinedVariable, path, at, format!("variable `{name}` is not set"))
                        .value(format!("${{{name}}}"))
                        .mend(format!("set it, or give a default: `${{{name}:-…}}`")),
                }
            }
            Piece::File(file) => match read(context, file) {
                Ok(secret) => {
                    replaced.push_str(&secret);
                    origin = origin.with(Origin::Secret);
                    continue;
                }
                Err(why) => Finding::error(Kind::UnreadableFile, path, at, format!("the secret can't be read: {why}"))
                    .value(format!("${{file:{file}}}"))
                    .mend("relative paths start at this file's folder; check that the file is there and may be read"),
            },
            Piece::Bad(begins) => Finding::error(Kind::BadVariable, path, at, "`${…}` that can't be read")
                .value(begins)
                .mend("write `${NAME}`, `${NAME:-default}` or `${file:/path}`; `$${` stands for `${` itself"),
        };
        findings.push(problem);
        origin = Origin::Broken;
    }
    scalar.text = replaced;
    scalar.origin = origin;
}

impl Origin {
    fn with(self, other: Origin) -> Origin {
        match (self, other) {
            (Origin::Broken, _) | (_, Origin::Broken) => Origin::Broken,
            (Origin::Secret, _) | (_, Origin::Secret) => Origin::Secret,
            (Origin::Variable, _) | (_, Origin::Variable) => Origin::Variable,
            (Origin::Written, Origin::Written) => Origin::Written,
        }
    }
}

fn read(context: &ParseContext<'_>, file: &str) -> io::Result<String> {
    let mut secret = (context.read_file)(&context.base_dir.join(file))?;
    if secret.len() > SECRET_BYTES_MAX {
        return Err(io::Error::other(format!(
            "it has more than {SECRET_BYTES_MAX} bytes"
        )));
    }
    // An editor's line end is no part of the secret.
    if secret.ends_with('\n') {
        secret.pop();
        if secret.ends_with('\r') {
            secret.pop();
        }
    }
    if secret.is_empty() {
        return Err(io::Error::other("it is empty"));
    }
    Ok(secret)
}

#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Variable {
        name: &'a str,
        default: Option<&'a str>,
    },
    File(&'a str),
    /// How it begins: no more is shown, since a default may be a password.
    Bad(String),
}

fn pieces(mut text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    while let Some(at) = text.find("${") {
        if text[..at].ends_with('$') {
            // `$${`: one `$` of the two, and the brace.
            pieces.push(Piece::Text(&text[..at]));
            pieces.push(Piece::Text("{"));
            text = &text[at + 2..];
            continue;
        }
        pieces.push(Piece::Text(&text[..at]));
        let rest = &text[at + 2..];
        let Some(end) = rest.find('}') else {
            pieces.push(bad(rest));
            return pieces;
        };
        pieces.push(variable(&rest[..end]));
        text = &rest[end + 1..];
    }
    pieces.push(Piece::Text(text));
    pieces
}

fn variable(inside: &str) -> Piece<'_> {
    if let Some(file) = inside.strip_prefix("file:") {
        return if file.trim().is_empty() {
            bad(inside)
        } else {
            Piece::File(file.trim())
        };
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let nested = default.is_some_and(|default| default.contains("${"));
    if begins_well && name_length(name) == name.len() && !nested {
        Piece::Variable { name, default }
    } else {
        bad(inside)
    }
}

fn bad(inside: &str) -> Piece<'_> {
    Piece::Bad(format!("${{{}…", &inside[..name_length(inside)]))
}

fn name_length(text: &str) -> usize {
    text.bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_text_apart() {
        let (some, none) = (Some("d:-e"), None);
        for (text, expected) in [
            (
                "a${B}c",
                vec![
                    Piece::Text("a"),
                    Piece::Variable {
                        name: "B",
                        default: none,
                    },
                    Piece::Text("c"),
                ],
            ),
            (
                "${B:-d:-e}",
                vec![
                    Piece::Text(""),
                    Piece::Variable {
                        name: "B",
                        default: some,
                    },
                    Piece::Text(""),
                ],
            ),
            (
                "${B:-}",
                vec![
                    Piece::Text(""),
                    Piece::Variable {
                        name: "B",
                        default: Some(""),
                    },
                    Piece::Text(""),
                ],
            ),
            (
                "${file: /a b }",
                vec![Piece::Text(""), Piece::File("/a b"), Piece::Text("")],
            ),
            (
                "$${A}",
                vec![Piece::Text("$"), Piece::Text("{"), Piece::Text("A}")],
            ),
            ("$A $ }{", vec![Piece::Text("$A $ }{")]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn shows_only_the_beginning_of_what_it_cannot_read() {
        for (text, begins) in [
            ("${PW-hunter2}", "${PW…"),
            ("${PW", "${PW…"),
            ("${}", "${…"),
            ("${1A}", "${1A…"),
            ("${A:-${B}}", "${A…"),
            ("${file:}", "${file…"),
        ] {
            assert!(
                pieces(text).contains(&Piece::Bad(begins.to_owned())),
                "{text}"
            );
        }
    }
}
