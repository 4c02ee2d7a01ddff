//! What the store of a lake answered, and what to do about it.

use super::reach;
use super::verdict::{Area, Line};
use jackfield_plugin::lake::{StoreError, StoreFound};
use url::Url;

const AREA: Area = Area::Stores;

/// What a bucket's error tells. The store's library gives most of them no name of its own, so the
/// status is read out of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It knows the keys not, or they lack the right.
    Refused,
    /// It answers, and has no such bucket.
    NoBucket,
    /// It answers that the request was meant for another region, or is signed for one.
    Elsewhere,
    /// It answers, and can't do it now.
    Ill,
    /// Nobody answered.
    Silent,
    /// The request was not even sent.
    Unusable,
}

/// One line of a look at the warehouse of a lake.
pub(super) fn judge(
    lake: &str,
    warehouse: &Url,
    wrote: bool,
    found: Result<StoreFound, StoreError>,
) -> Line {
    let name = reach::shown(warehouse);
    match found {
        Ok(StoreFound::Unknown) => Line::ok(AREA, name, "the catalog says where tables are"),
        Ok(StoreFound::Listed { .. }) if wrote => {
            Line::ok(AREA, name, "an object was written, read back and removed")
        }
        Ok(StoreFound::Listed { empty }) => {
            let holds = if empty { ": nothing is in it yet" } else { "" };
            let message = format!(
                "can be listed{holds}; whether it can be written, `jackfield doctor --write` tells"
            );
            Line::ok(AREA, name, message)
        }
        Err(error) if warehouse.scheme() == "file" => {
            let key = key(lake, "warehouse");
            let remedy = format!("give this user the right to write there, or mend `{key}`");
            Line::fail(AREA, name, error.to_string(), remedy)
        }
        Err(error) => bucket(lake, warehouse, name, &error),
    }
}

fn bucket(lake: &str, warehouse: &Url, name: String, error: &StoreError) -> Line {
    let (place, options) = (
        key(lake, "warehouse"),
        key(lake, section(warehouse.scheme())),
    );
    let (what, remedy) = match trouble(error) {
        Trouble::Refused => (
            "the object store answers, and does not let us in",
            format!("check the keys in `{options}`, and what they may do in that bucket"),
        ),
        Trouble::NoBucket => (
            "the object store answers, and has no such bucket",
            format!("make the bucket, or mend its name in `{place}`"),
        ),
        Trouble::Elsewhere => (
            "the object store answers, and does not take the request as it is signed",
            format!("check `region`, `endpoint` and the keys in `{options}`"),
        ),
        Trouble::Ill => (
            "the object store answers, and is in trouble",
            format!("look at its own log or status page; `{options}` names it"),
        ),
        Trouble::Silent => {
            let what = "the object store does not answer";
            let remedy = format!(
                "is it up, and does a firewall lie between? `endpoint` in `{options}` names it"
            );
            let down = format!("the object store ({name})");
            return Line::fail(AREA, name, format!("{what}: {error}"), remedy).down(down);
        }
        Trouble::Unusable => (
            "the object store can't be asked",
            format!("check `{place}` and `{options}`"),
        ),
    };
    Line::fail(AREA, name, format!("{what}: {error}"), remedy)
}

fn key(lake: &str, part: &str) -> String {
    format!("lakes.{lake}.{part}")
}

/// Where the file says how a bucket is reached.
pub(super) fn section(scheme: &str) -> &'static str {
    match scheme {
        "gs" => "gcs",
        "abfss" => "azure",
        _ => "s3",
    }
}

fn trouble(error: &StoreError) -> Trouble {
    match error {
        StoreError::Missing => Trouble::NoBucket,
        StoreError::Transient(text) | StoreError::Other(text) => match status(text) {
            Some(401 | 403) => Trouble::Refused,
            Some(404) => Trouble::NoBucket,
            Some(300..=400) => Trouble::Elsewhere,
            Some(_) => Trouble::Ill,
            None if text.contains("configured region") => Trouble::Elsewhere,
            None if matches!(error, StoreError::Transient(_)) => Trouble::Silent,
            None => Trouble::Unusable,
        },
        StoreError::Denied(_) | StoreError::TooLarge(_) | StoreError::Interrupted => {
            Trouble::Unusable
        }
    }
}

/// As the store's library puts it: `… status code: 403 Forbidden: …`.
fn status(text: &str) -> Option<u16> {
    let (_, after) = text.split_once("status code: ")?;
    after.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Level;
    use super::*;

    fn judged(error: StoreError) -> Line {
        let warehouse = Url::parse("s3://lake/w").unwrap();
        judge("local", &warehouse, false, Err(error))
    }

    /// The texts are those of the store's library.
    #[test]
    fn an_answer_is_told_from_none() {
        let listing = |why: &str| {
            StoreError::Transient(format!(
                "s3://lake/w: Generic S3 error: Error performing list request: Error performing \
                 GET http://127.0.0.1:9000/lake in 2ms - {why}"
            ))
        };
        let status = |status: &str| {
            listing(&format!(
                "Server returned non-2xx status code: {status}: <Error/>"
            ))
        };
        for (error, word, remedy) in [
            (
                status("403 Forbidden"),
                "does not let us in",
                "the keys in `lakes.local.s3`",
            ),
            (
                status("404 Not Found"),
                "has no such bucket",
                "`lakes.local.warehouse`",
            ),
            (
                StoreError::Missing,
                "has no such bucket",
                "`lakes.local.warehouse`",
            ),
            (status("400 Bad Request"), "as it is signed", "`region`"),
            (
                status("503 Service Unavailable"),
                "in trouble",
                "its own log",
            ),
            (
                StoreError::Other("s3://lake can't be used: no key".to_owned()),
                "can't be asked",
                "lakes.local.s3",
            ),
        ] {
            let line = judged(error);
            assert_eq!(line.level, Level::Fail);
            assert!(line.message.contains(word), "{line:?}");
            assert!(line.remedy.as_ref().unwrap().contains(remedy), "{line:?}");
            assert_eq!(line.not_running, None);
        }
        let silent = judged(listing("error sending request"));
        assert!(silent.message.contains("does not answer"), "{silent:?}");
        let down = silent.not_running.unwrap();
        assert_eq!(down, "the object store (s3://lake/w)");
    }
}
