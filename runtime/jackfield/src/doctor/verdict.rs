//! What a look at one thing brought, and how all of it is told.

use serde::Serialize;
use std::fmt::Write;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// A pipeline runs all the same; a person should know.
    Warn,
    /// A pipeline does not run like this.
    Fail,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// What part of a pipeline's world is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Area {
    /// The YAML file.
    File,
    /// Whether it runs, and where it would listen.
    Jackfield,
    /// Components and their settings.
    Plugins,
    /// What connectors may reach.
    Grants,
    /// What keeps the records.
    Log,
    /// What keeps the schemas.
    Registry,
    /// What sources and sinks talk to.
    Endpoints,
    /// What knows the tables.
    Catalogs,
    /// What keeps the tables' files.
    Stores,
    /// This machine's clock.
    Clock,
}

impl Area {
    fn title(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Jackfield => "jackfield",
            Self::Plugins => "plugins",
            Self::Grants => "grants",
            Self::Log => "log",
            Self::Registry => "schema registry",
            Self::Endpoints => "endpoints",
            Self::Catalogs => "catalogs",
            Self::Stores => "stores",
            Self::Clock => "clock",
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Line {
    pub(crate) area: Area,
    /// The thing, such as a URL without credentials.
    pub(crate) name: String,
    pub(crate) level: Level,
    /// What was found.
    pub(crate) message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
    /// The service that is not running, by the name that people know it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_running: Option<String>,
    /// How far this machine's clock is ahead of the one that answered, ms.
    #[serde(skip)]
    pub(crate) ahead_ms: Option<i64>,
}

impl Line {
    fn new(area: Area, name: impl Into<String>, level: Level, message: impl Into<String>) -> Self {
        Self {
            area,
            name: name.into(),
            level,
            message: one_line(&message.into()),
            remedy: None,
            not_running: None,
            ahead_ms: None,
        }
    }

    pub(crate) fn ok(area: Area, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(area, name, Level::Ok, message)
    }

    pub(crate) fn warn(
        area: Area,
        name: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(area, name, Level::Warn, message).mended_by(remedy)
    }

    pub(crate) fn fail(
        area: Area,
        name: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(area, name, Level::Fail, message).mended_by(remedy)
    }

    fn mended_by(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(one_line(&remedy.into()));
        self
    }

    /// The service behind it is not running.
    pub(crate) fn down(mut self, service: impl Into<String>) -> Self {
        self.not_running = Some(service.into());
        self
    }
}

/// Each thing takes one line: texts of others may have several.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// All that was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Report {
    pub(crate) file: String,
    /// Nothing failed.
    pub(crate) ok: bool,
    pub(crate) failed: usize,
    pub(crate) warned: usize,
    /// Services that are not running, each once.
    pub(crate) not_running: Vec<String>,
    pub(crate) checks: Vec<Line>,
}

impl Report {
    pub(crate) fn of(file: String, mut checks: Vec<Line>) -> Self {
        checks.sort_by_key(|line| line.area);
        let count = |level| checks.iter().filter(|line| line.level == level).count();
        let (failed, warned) = (count(Level::Fail), count(Level::Warn));
        let mut not_running: Vec<String> = Vec::new();
        for service in checks.iter().filter_map(|line| line.not_running.as_ref()) {
            if !not_running.contains(service) {
                not_running.push(service.clone());
            }
        }
        Self {
            file,
            ok: failed == 0,
            failed,
            warned,
            not_running,
            checks,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let widest = self.checks.iter().map(|line| line.name.chars().count());
        let width = widest.max().unwrap_or(0).min(NAME_WIDTH_MAX);
        let mut text = String::new();
        let mut area = None;
        for line in &self.checks {
            if area.replace(line.area) != Some(line.area) {
                // Writing into a text does not fail.
                let _written = writeln!(text, "{}", line.area.title());
            }
            let word = line.level.word();
            let _written = writeln!(text, "  {word:<4}  {:<width$}  {}", line.name, line.message);
            if let Some(remedy) = &line.remedy {
                let _written = writeln!(text, "        → {remedy}");
            }
        }
        let _written = writeln!(text);
        if !self.not_running.is_empty() {
            let services = self.not_running.join("; ");
            let _written = writeln!(text, "Not running: {services}");
        }
        let all = self.checks.len();
        let warned = match self.warned {
            0 => String::new(),
            warned => format!(", {warned} to know of"),
        };
        let _written = match self.failed {
            0 => write!(text, "{}: {all} checks, none failed{warned}", self.file),
            failed => write!(
                text,
                "{}: {failed} of {all} checks failed{warned}",
                self.file
            ),
        };
        text
    }
}

/// Longer names push what is said of them to the right, each on its own line.
const NAME_WIDTH_MAX: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_remedy_below_and_services_that_are_down_come_last() {
        let down = |name: &str| {
            Line::fail(
                Area::Registry,
                name,
                "nothing listens there\n(Connection refused)",
                "start it",
            )
            .down("the schema registry")
        };
        let report = Report::of(
            "c.yaml".to_owned(),
            vec![
                down("http://a:8081"),
                Line::ok(Area::File, "c.yaml", "2 connectors"),
                down("http://b:8081"),
                Line::warn(Area::Clock, "clock", "6 s ahead", "run an NTP client"),
            ],
        );
        assert_eq!(
            report.text(),
            "file\n  ok    c.yaml         2 connectors\n\
             schema registry\n\
             \x20 FAIL  http://a:8081  nothing listens there (Connection refused)\n        → start it\n\
             \x20 FAIL  http://b:8081  nothing listens there (Connection refused)\n        → start it\n\
             clock\n  WARN  clock          6 s ahead\n        → run an NTP client\n\
             \nNot running: the schema registry\nc.yaml: 2 of 4 checks failed, 1 to know of"
        );
        assert!(!report.ok);
    }

    #[test]
    fn programs_read_words() {
        let line = Line::fail(Area::Log, "x", "y", "z").down("Kafka");
        let report = Report::of("c.yaml".to_owned(), vec![line]);
        assert_eq!(
            serde_json::json!(report),
            serde_json::json!({
                "file": "c.yaml", "ok": false, "failed": 1, "warned": 0, "not-running": ["Kafka"],
                "checks": [{ "area": "log", "name": "x", "level": "fail", "message": "y",
                             "remedy": "z", "not-running": "Kafka" }]
            })
        );
    }
}
