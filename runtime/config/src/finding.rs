//! What is wrong with a file, for people and for programs.

use crate::secret::MASK;
use serde::Serialize;
use std::fmt;

/// Most findings that are kept of one file: beyond, a person mends the first ones first.
pub const FINDINGS_MAX: usize = 200;

/// Longest part of a value that a finding shows, characters: enough to recognise it.
const SHOWN_CHARS_MAX: usize = 80;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The class of a finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// Every class there is.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];
        }
    };
}

kinds! {
    /// Not YAML.
    Syntax,
    /// YAML that has no place in a configuration: custom tags, several documents, `.nan`.
    Unsupported,
    /// More text, nodes or nesting than is read.
    TooLarge,
    /// One key twice in a mapping.
    DuplicateKey,
    /// A key that means nothing here.
    UnknownKey,
    /// A key that has to be there.
    MissingKey,
    /// A list where a mapping is due, a number where text is due, and so on.
    WrongType,
    /// The right type, but not readable as what is due.
    BadValue,
    /// A quantity below or above its limits.
    OutOfRange,
    /// A name that breaks the rule for names.
    BadName,
    /// Keys that exclude each other, or of which one is needed.
    Conflict,
    /// A variable that is not set and has no default.
    UndefinedVariable,
    /// `${…}` that can't be read.
    BadVariable,
    /// A file named by `${file:…}` that can't be read.
    UnreadableFile,
    /// A secret where it would be shown, or given to a plugin.
    MisplacedSecret,
    /// A name that is declared nowhere.
    UnknownReference,
    /// Two connectors of one name.
    DuplicateConnector,
    /// A topic with two writers, or declared in two ways.
    TopicConflict,
    /// Known, but not in this version.
    NotBuiltIn,
    /// Nothing to run.
    Empty,
    /// What a plugin says about its settings can't be used.
    PluginSchema,
    /// A value that breaks a rule of the plugin's own, or a plugin that does not fit where it is
    /// named.
    PluginRule,
    /// Declared and not used.
    Unused,
}

/// Whether something is wrong or only looks so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is taken.
    Warning,
}

/// A place in the text, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Default)]
pub struct Pos {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// One thing that is wrong, where, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The class.
    pub kind: Kind,
    /// Error or warning.
    pub severity: Severity,
    /// Such as `pipelines.trades.sinks.lake.commit.every`; empty for the whole file.
    pub path: String,
    /// Where in the file.
    #[serde(flatten)]
    pub at: Pos,
    /// The value as it is understood, `***` for a secret. `None` where there is none to show.
    pub value: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub mend: Option<String>,
}

impl Finding {
    /// An error at a place.
    pub fn error(kind: Kind, path: impl Into<String>, at: Pos, message: impl Into<String>) -> Self {
        Finding {
            kind,
            severity: Severity::Error,
            path: path.into(),
            at,
            value: None,
            message: message.into(),
            mend: None,
        }
    }

    /// A warning at a place.
    pub fn warning(
        kind: Kind,
        path: impl Into<String>,
        at: Pos,
        message: impl Into<String>,
    ) -> Self {
        Finding {
            severity: Severity::Warning,
            ..Finding::error(kind, path, at, message)
        }
    }

    /// Adds what to do about it.
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    /// Adds the value, cut to a length that can be read. Not for secrets.
    pub fn value(mut self, value: impl AsRef<str>) -> Self {
        self.value = Some(shown(value.as_ref()));
        self
    }

    /// Says that there is a value which is not shown.
    pub fn masked(mut self) -> Self {
        self.value = Some(MASK.to_owned());
        self
    }
}

/// On one line, without control characters, and cut.
pub(crate) fn shown(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown: String = chars
        .by_ref()
        .take(SHOWN_CHARS_MAX)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// All that was found in one file. `Display` is for people, `Serialize` for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Findings {
    /// The file, as it was named to us.
    pub file: String,
    /// What was found, in the order of the text.
    pub findings: Vec<Finding>,
    /// How many more there were than are kept.
    pub left_out: usize,
}

impl std::error::Error for Findings {}

impl Findings {
    /// Nothing found yet in the file of that name.
    pub fn new(file: impl Into<String>) -> Self {
        Findings {
            file: file.into(),
            ..Findings::default()
        }
    }

    /// Adds one; beyond [`FINDINGS_MAX`] it is only counted.
    pub fn push(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.left_out += 1;
        }
    }

    /// Takes over all of another's.
    pub fn extend(&mut self, other: Findings) {
        self.left_out += other.left_out;
        for finding in other.findings {
            self.push(finding);
        }
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether the file is refused.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many of that severity are kept.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// In the order of the text.
    pub(crate) fn sorted(mut self) -> Self {
        self.findings
            .sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.path.cmp(&b.path)));
        self
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            writeln!(f, "{severity}: {}", finding.message)?;
            writeln!(
                f,
                "  --> {}:{}:{}",
                self.file, finding.at.line, finding.at.column
            )?;
            match (&finding.path[..], &finding.value) {
                ("", None) => {}
                ("", Some(value)) => writeln!(f, "   = value: {value}")?,
                (path, None) => writeln!(f, "   = at: {path}")?,
                (path, Some(value)) => writeln!(f, "   = at: {path}: {value}")?,
            }
            if let Some(mend) = &finding.mend {
                writeln!(f, "   = help: {mend}")?;
            }
            writeln!(f)?;
        }
        let counts = [
            (self.count(Severity::Error), "error"),
            (self.count(Severity::Warning), "warning"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }))
        .collect::<Vec<_>>()
        .join(", ");
        match (counts.as_str(), self.left_out) {
            ("", _) => write!(f, "{}: nothing found", self.file),
            (counts, 0) => write!(f, "{}: {counts}", self.file),
            (counts, more) => write!(f, "{}: {counts}, and {more} more not shown", self.file),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_each_finding_and_a_summary() {
        let mut findings = Findings::new("c.yaml");
        let at = Pos {
            line: 31,
            column: 9,
        };
        findings.push(
            Finding::error(
                Kind::UnknownKey,
                "sinks.lake.comit",
                at,
                "unknown key `comit`",
            )
            .mend("did you mean `commit`?"),
        );
        findings
            .push(Finding::warning(Kind::Unused, "plugins.x", at, "unused").value("a\u{1b}[31m"));
        assert_eq!(
            findings.to_string(),
            "error: unknown key `comit`\n  --> c.yaml:31:9\n   = at: sinks.lake.comit\n   \
             = help: did you mean `commit`?\n\nwarning: unused\n  --> c.yaml:31:9\n   \
             = at: plugins.x: a\u{fffd}[31m\n\nc.yaml: 1 error, 1 warning"
        );
    }

    #[test]
    fn keeps_a_bounded_number() {
        let mut findings = Findings::new("c.yaml");
        for _ in 0..FINDINGS_MAX + 3 {
            findings.push(Finding::error(Kind::Syntax, "", Pos::default(), "x"));
        }
        assert_eq!(findings.findings.len(), FINDINGS_MAX);
        assert!(
            findings
                .to_string()
                .ends_with("200 errors, and 3 more not shown")
        );
    }
}
