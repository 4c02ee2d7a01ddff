//! What a database's error means for a change that was under way.
//!
//! The question is whether the change may have happened. A server that answers with an error has
//! rolled the statement back; a connection that breaks after the statement was sent has not
//! answered.

use super::error::CatalogError;
use sqlx::error::DatabaseError;

/// Which database answers, since each has its own codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Whether the failed statement was to change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    Read,
    Write,
}

/// What a database's answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Rolled back; may work later.
    Later,
    /// Rolled back; will not work.
    Never,
    /// May have happened.
    Unclear,
    /// The table or column asked for is not there.
    NoSuchTable,
}

/// No connection could be had, so nothing was sent.
pub(crate) fn connecting(dialect: Dialect, shown: &str, error: &sqlx::Error) -> CatalogError {
    let text = format!("no connection to the catalog, {shown}: {error}");
    match error {
        sqlx::Error::Configuration(_) => CatalogError::Other(text),
        sqlx::Error::Database(answer) => match meaning(dialect, answer.as_ref()) {
            Meaning::Never => CatalogError::Other(text),
            Meaning::Later | Meaning::Unclear | Meaning::NoSuchTable => {
                CatalogError::Transient(text)
            }
        },
        _ => CatalogError::Transient(text),
    }
}

/// A statement failed.
pub(crate) fn statement(
    dialect: Dialect,
    intent: Intent,
    shown: &str,
    error: &sqlx::Error,
) -> CatalogError {
    let text = format!("the catalog, {shown}: {error}");
    let meaning = match error {
        sqlx::Error::Database(answer) => meaning(dialect, answer.as_ref()),
        // Not sent.
        sqlx::Error::Configuration(_) | sqlx::Error::Encode(_) => Meaning::Never,
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Meaning::Later,
        _ => Meaning::Unclear,
    };
    match (meaning, intent) {
        (Meaning::Unclear, Intent::Write) => CatalogError::Unknown(text),
        (Meaning::Later, _) | (Meaning::Unclear, Intent::Read) => CatalogError::Transient(text),
        (Meaning::Never | Meaning::NoSuchTable, _) => CatalogError::Other(text),
    }
}

/// Whether the failure is that a table or column is not there.
pub(crate) fn no_such_table(dialect: Dialect, error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(answer) => meaning(dialect, answer.as_ref()) == Meaning::NoSuchTable,
        _ => false,
    }
}

fn meaning(dialect: Dialect, answer: &dyn DatabaseError) -> Meaning {
    let code = answer.code().unwrap_or_default();
    match dialect {
        Dialect::Sqlite => sqlite(code.parse().unwrap_or(0)),
        Dialect::Postgres => postgres(&code),
    }
}

/// The low byte of an extended code is the primary one.
fn sqlite(code: i32) -> Meaning {
    match code & 0xff {
        // SQLITE_ERROR: in a statement of ours, only a table or column that is not there.
        1 => Meaning::NoSuchTable,
        // BUSY, LOCKED, NOMEM, INTERRUPT, FULL; CANTOPEN, since the journal can't be created on
        // a full disk.
        5 | 6 | 7 | 9 | 13 | 14 => Meaning::Later,
        // IOERR: also when the commit was written and only a last sync failed.
        10 => Meaning::Unclear,
        // INTERNAL, PERM, READONLY, CORRUPT, CONSTRAINT, MISMATCH, AUTH, NOTADB …
        _ => Meaning::Never,
    }
}

fn postgres(code: &str) -> Meaning {
    match code {
        // Undefined table, undefined column.
        "42P01" | "42703" => return Meaning::NoSuchTable,
        // Statement completion unknown.
        "40003" => return Meaning::Unclear,
        // Lock not available; query cancelled, as by a statement timeout; a standby, which only
        // reads, until it is promoted.
        "55P03" | "57014" | "25006" => return Meaning::Later,
        _ => {}
    }
    match code.get(..2) {
        // Serialization failure, deadlock; out of disk, memory or connections.
        Some("40" | "53") => Meaning::Later,
        // The connection, a shutdown or crash, an error of the system or of the server itself: it
        // may have come after the commit.
        Some("08" | "57" | "58" | "XX") | None => Meaning::Unclear,
        Some(_) => Meaning::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_or_full_database_has_changed_nothing() {
        // BUSY, BUSY_SNAPSHOT, LOCKED_SHAREDCACHE, FULL, CANTOPEN_DIRTYWAL
        for code in [5, 517, 262, 13, 1294] {
            assert_eq!(sqlite(code), Meaning::Later, "{code}");
        }
        for code in ["40001", "40P01", "53100", "53300", "55P03", "57014"] {
            assert_eq!(postgres(code), Meaning::Later, "{code}");
        }
    }

    #[test]
    fn what_may_come_after_a_commit_is_unclear() {
        // IOERR, IOERR_DIR_FSYNC, IOERR_DELETE
        for code in [10, 1290, 2570] {
            assert_eq!(sqlite(code), Meaning::Unclear, "{code}");
        }
        for code in ["08006", "57P01", "57P02", "40003", "58030", "XX000", ""] {
            assert_eq!(postgres(code), Meaning::Unclear, "{code}");
        }
    }

    #[test]
    fn a_broken_connection_is_unknown_to_a_writer_only() {
        let broken = sqlx::Error::Io(std::io::ErrorKind::BrokenPipe.into());
        let of = |intent| statement(Dialect::Postgres, intent, "db", &broken);
        assert!(matches!(of(Intent::Write), CatalogError::Unknown(_)));
        assert!(matches!(of(Intent::Read), CatalogError::Transient(_)));
        let none = connecting(Dialect::Postgres, "db", &broken);
        assert!(matches!(none, CatalogError::Transient(_)));
    }
}
