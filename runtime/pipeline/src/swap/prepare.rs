//! Everything that can be said against a new version without touching the running one.

use super::{Refused, Version};
use jackfield_plugin::{Delivery, Severity, World};

/// What the connector that is to change is given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given {
    /// Which end it is.
    pub(crate) world: World,
    /// What its pipeline asks for.
    pub(crate) delivery: Delivery,
    /// Whether it may open any connection.
    pub(crate) websocket: bool,
    /// Whether it may make any request.
    pub(crate) http: bool,
    /// Whether it has a lake.
    pub(crate) lake: bool,
}

/// Compares the two, and asks the new one about its settings.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) async fn prepare(given: Given, running: &Version, to: &Version) -> Result<(), Refused> {
    if to.is(running) {
        return Err(Refused::Same);
    }
    suits(given, running, to).await
}

/// The same for a version that may be the one that runs.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) async fn suits(given: Given, running: &Version, to: &Version) -> Result<(), Refused> {
    let found = to.plugged.plugin.world();
    if found != given.world {
        return Err(Refused::WrongWorld {
            wanted: word(given.world),
            found: word(found),
        });
    }
    match (given.delivery, to.description.delivery) {
        (Delivery::ExactlyOnce, Delivery::AtLeastOnce) => return Err(Refused::WeakerDelivery),
        (Delivery::AtLeastOnce | Delivery::ExactlyOnce, Delivery::ExactlyOnce)
        | (Delivery::AtLeastOnce, Delivery::AtLeastOnce) => {}
    }
    versions(running, to)?;
    let imports = |version: &Version| version.plugged.plugin.imports().to_vec();
    if let Some(grant) = lacks(given, &imports(running), &imports(to)) {
        return Err(Refused::Grant(grant));
    }
    settings(to).await
}

fn versions(running: &Version, to: &Version) -> Result<(), Refused> {
    let (old, new) = (&running.description, &to.description);
    readable(
        "saved state",
        old.saved_version,
        (new.saved_version_min, new.saved_version),
    )?;
    readable(
        "staged pieces",
        old.staged_version,
        (new.staged_version_min, new.staged_version),
    )
}

fn readable(what: &'static str, written: u32, (from, to): (u32, u32)) -> Result<(), Refused> {
    if (from..=to).contains(&written) {
        return Ok(());
    }
    Err(Refused::StateVersion {
        what,
        reads_from: from,
        reads_to: to,
        written,
    })
}

/// The grant that an import which is new needs and does not have: what nothing was granted of would
/// be denied in the middle of the work.
fn lacks(given: Given, old: &[String], new: &[String]) -> Option<&'static str> {
    let wanting = [
        ("websocket", "websocket", given.websocket),
        ("requests", "http", given.http),
        ("http", "http", given.http),
        ("store", "lake", given.lake),
        ("catalog", "lake", given.lake),
    ];
    let reaches = |imports: &[String], import: &str| imports.iter().any(|it| it == import);
    let lacking = wanting
        .into_iter()
        .find(|(import, _, granted)| reaches(new, import) && !reaches(old, import) && !granted);
    lacking.map(|(_, grant, _)| grant)
}

async fn settings(to: &Version) -> Result<(), Refused> {
    let plugged = &to.plugged;
    let findings = plugged
        .plugin
        .check(&plugged.settings, &plugged.limits)
        .await
        .map_err(|error| Refused::Fails(format!("check: {error}")))?;
    let errors: Vec<String> = findings
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| format!("{}: {}", finding.path, finding.message))
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(Refused::Settings(errors.join("; ")))
}

fn word(world: World) -> &'static str {
    match world {
        World::Source => "source",
        World::Sink => "sink",
        World::Transform => "transform",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(names: &[&str]) -> Vec<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    #[test]
    fn a_new_import_needs_a_grant() {
        let given = Given {
            world: World::Sink,
            delivery: Delivery::ExactlyOnce,
            websocket: false,
            http: true,
            lake: false,
        };
        let (old, new) = (
            imports(&["log", "http"]),
            imports(&["log", "http", "store"]),
        );
        assert_eq!(lacks(given, &old, &new), Some("lake"));
        assert_eq!(lacks(given, &new, &new), None, "as the running one");
        let granted = Given {
            lake: true,
            ..given
        };
        assert_eq!(lacks(granted, &old, &new), None);
        assert_eq!(
            lacks(given, &imports(&["log"]), &old),
            None,
            "http is granted"
        );
        let socket = imports(&["websocket"]);
        assert_eq!(lacks(given, &old, &socket), Some("websocket"));
    }

    #[test]
    fn what_was_written_must_be_readable() {
        assert_eq!(readable("saved state", 2, (1, 3)), Ok(()));
        let refused = readable("saved state", 2, (3, 4)).unwrap_err();
        assert_eq!(refused.code(), "state-version");
        assert!(readable("staged pieces", 2, (1, 1)).is_err());
    }
}
