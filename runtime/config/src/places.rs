//! Paths, URIs and addresses.

use crate::catalogue::{Shape, Text};
use crate::fields::Place;
use crate::finding::{Findings, Kind};
use crate::leaf;
use crate::secret::Secret;
use crate::tree::Content;
use crate::types::CatalogConfig;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use url::Url;

/// A path, made absolute.
pub(crate) fn path(
    base: &Path,
    shape: &Shape,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<PathBuf> {
    let text = leaf::text(shape, place, findings)?;
    if text.contains("://") {
        findings.push(
            place
                .error(Kind::BadValue, "a path of this machine is due here")
                .value(text)
                .mend("name a file or folder; relative paths start at this file's folder"),
        );
        return None;
    }
    if text.starts_with('~') {
        findings.push(
            place
                .error(Kind::BadValue, "`~` is not replaced")
                .value(text)
                .mend("write the folder out, or `${HOME}/…`"),
        );
        return None;
    }
    if text.contains('\0') {
        findings.push(
            place
                .error(Kind::BadValue, "not a path")
                .value(text)
                .mend("a path has no NUL character"),
        );
        return None;
    }
    Some(absolute(base, &text))
}

fn absolute(base: &Path, text: &str) -> PathBuf {
    base.join(text)
        .components()
        .filter(|part| *part != Component::CurDir)
        .collect()
}

/// A warehouse: a folder, or a `file:` URI.
pub(crate) fn warehouse(
    base: &Path,
    shape: &Shape,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<Url> {
    let text = match &place.node.content {
        Content::Scalar(scalar) if scalar.text.contains("://") => {
            leaf::text(shape, place, findings)?
        }
        _ => {
            let folder = path(base, shape, place, findings)?;
            let uri = Url::from_file_path(&folder).ok();
            if uri.is_none() {
                findings.push(
                    place
                        .error(Kind::BadValue, "the folder is not absolute")
                        .value(folder.display().to_string())
                        .mend("write it out from `/`"),
                );
            }
            return uri;
        }
    };
    let bad = |kind, message: &str, mend: &str, findings: &mut Findings| {
        // A URI may hold keys.
        findings.push(place.error(kind, message).mend(mend));
        None
    };
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    match scheme {
        "file" => {
            let uri = Url::parse(text.trim_end_matches('/')).ok();
            match uri.filter(|uri| {
                uri.host().is_none()
                    && uri.query().is_none()
                    && uri.fragment().is_none()
                    && uri.path().len() > 1
            }) {
                Some(uri) if rest.starts_with('/') => Some(uri),
                _ => bad(
                    Kind::BadValue,
                    "not a `file:` URI of this machine",
                    "write `file:///folder`, or just the folder",
                    findings,
                ),
            }
        }
        "s3" | "gs" | "abfss" => match bucket(&text) {
            Some(uri) => Some(uri),
            None => bad(
                Kind::BadValue,
                "not a bucket and a prefix",
                match scheme {
                    "abfss" => "write `abfss://container@account.dfs.core.windows.net/prefix`",
                    _ => "write `scheme://bucket/prefix`; keys go into `s3:`, `gcs:` or `azure:`",
                },
                findings,
            ),
        },
        "s3a" | "s3n" | "gcs" | "az" | "abfs" | "wasb" | "wasbs" => bad(
            Kind::BadValue,
            &format!("`{scheme}://` is another name for a store that is known here"),
            "write `s3://`, `gs://` or `abfss://`",
            findings,
        ),
        _ => bad(
            Kind::BadValue,
            "not a place for tables",
            "name a folder, `file:///folder`, or `s3://bucket/prefix`",
            findings,
        ),
    }
}

/// A bucket and a prefix in it, and nothing that could be a key.
fn bucket(text: &str) -> Option<Url> {
    let uri = Url::parse(text.trim_end_matches('/')).ok()?;
    let host = uri.host_str().is_some_and(|it| !it.is_empty());
    let container = uri.scheme() == "abfss";
    let plain = uri.password().is_none()
        && uri.port().is_none()
        && uri.query().is_none()
        && uri.fragment().is_none()
        && uri.username().is_empty() != container;
    // Paths are literal: what a URL would encode can't be in one.
    let literal = uri.as_str() == text.trim_end_matches('/');
    let segments = uri.path().trim_start_matches('/').split('/');
    let whole = uri.path().is_empty() || segments.into_iter().all(|it| !it.is_empty());
    (host && plain && literal && whole).then_some(uri)
}

/// Whether the host of an `abfss:` URI says where the account's blobs are.
pub(crate) fn is_azures(uri: &Url) -> bool {
    let host = uri.host_str().unwrap_or_default().to_ascii_lowercase();
    let kinds = [".dfs.", ".blob."].into_iter();
    let mut parts = kinds.filter_map(|it| host.split_once(it));
    parts.any(|(account, cloud)| !account.is_empty() && !cloud.is_empty())
}

/// The database of a catalog; relative SQLite paths made absolute. Never shown.
pub(crate) fn sql(
    base: &Path,
    shape: &Shape,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<CatalogConfig> {
    let secret = leaf::secret(shape, place, findings)?;
    let text = secret.expose();
    let mut bad = |message: &str, mend: &str| {
        findings.push(place.error(Kind::BadValue, message).masked().mend(mend));
        None
    };
    if let Some(rest) = text.strip_prefix("sqlite:") {
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (file, query) = match rest.split_once('?') {
            Some((file, query)) => (file, Some(query)),
            None => (rest, None),
        };
        if file.is_empty()
            || file == ":memory:"
            || query.is_some_and(|query| query.contains("mode=memory"))
        {
            return bad(
                "a catalog has to outlive the process",
                "name a file: `sqlite://data/catalog.db`",
            );
        }
        let Some(file) = decoded(file) else {
            return bad("not a SQLite URI", "write `%25` for a `%` in a file's name");
        };
        let file = absolute(base, &file);
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let uri = Secret::new(format!("sqlite://{}{query}", encoded(&file)));
        return Some(CatalogConfig::Sql {
            uri,
            sqlite_file: Some(file),
        });
    }
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return match Url::parse(text) {
            Ok(uri) if uri.host_str().is_some_and(|host| !host.is_empty()) => {
                Some(CatalogConfig::Sql {
                    uri: secret,
                    sqlite_file: None,
                })
            }
            Ok(_) | Err(_) => bad(
                "not a PostgreSQL URI",
                "write `postgres://user:password@host:port/database`; `@`, `/`, `:` and `#` in a password as `%40`, `%2F`, `%3A`, `%23`",
            ),
        };
    }
    bad(
        "not a database that is known here",
        "write `sqlite://<path>` or `postgres://user:password@host/database`",
    )
}

/// A grant's URL: an origin and a path, and nothing that could be a secret.
pub(crate) fn url(shape: &Shape, place: &Place<'_>, findings: &mut Findings) -> Option<Url> {
    let Shape::Text(kind) = *shape else {
        unreachable!("declared as text")
    };
    let (schemes, example) = match kind {
        Text::WebSocketUrl => (["wss", "ws"], "wss://host/path"),
        _ => (["https", "http"], "https://host/path"),
    };
    let text = leaf::text(shape, place, findings)?;
    let problem = match Url::parse(&text) {
        Err(error) => (error.to_string(), format!("write `{example}`")),
        Ok(uri) if !schemes.contains(&uri.scheme()) => (
            format!("`{}` and `{}` are allowed here", schemes[0], schemes[1]),
            format!("write `{example}`"),
        ),
        Ok(uri) if !uri.username().is_empty() || uri.password().is_some() => {
            findings.push(
                place
                    .error(
                        Kind::MisplacedSecret,
                        "a user or password in a URL is shown in many places",
                    )
                    .masked()
                    .mend("give a header: `{ url: …, headers: { Authorization: \"${file:…}\" } }`"),
            );
            return None;
        }
        Ok(uri) if uri.query().is_some() || uri.fragment().is_some() => {
            findings.push(
                place
                    .error(Kind::BadValue, "a grant is an origin and a path")
                    .value(&uri[..url::Position::AfterPath])
                    .mend("remove everything from `?` or `#` on"),
            );
            return None;
        }
        Ok(uri) => return Some(uri),
    };
    let (message, mend) = problem;
    let finding = place
        .error(Kind::BadValue, format!("not a URL for a grant: {message}"))
        .mend(mend);
    // What can't be taken apart may hold a password anywhere.
    findings.push(if text.contains('@') {
        finding.masked()
    } else {
        finding.value(text)
    });
    None
}

/// Brokers: hosts and ports, separated by commas.
pub(crate) fn servers(shape: &Shape, place: &Place<'_>, findings: &mut Findings) -> Option<String> {
    let text = leaf::text(shape, place, findings)?;
    let good = |server: &str| {
        server.trim().rsplit_once(':').is_some_and(|(host, port)| {
            let port: Option<u16> = port.parse().ok();
            !host.is_empty() && !host.contains("//") && port.is_some_and(|port| port > 0)
        })
    };
    if text.split(',').all(good) {
        return Some(text);
    }
    findings.push(
        place
            .error(Kind::BadValue, "not brokers of a Kafka cluster")
            .value(text)
            .mend("write `host:9092`, several separated by commas"),
    );
    None
}

/// URLs of one registry, separated by commas. Never shown.
pub(crate) fn registry_urls(
    shape: &Shape,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<Secret> {
    let urls = leaf::secret(shape, place, findings)?;
    let good = |url: &str| {
        Url::parse(url.trim()).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.query().is_none()
                && url.fragment().is_none()
        })
    };
    if urls.expose().split(',').all(good) {
        return Some(urls);
    }
    findings.push(
        place
            .error(Kind::BadValue, "not the URL of a schema registry")
            .masked()
            .mend("write `http://host:8081`, with its path if it has one; several separated by commas"),
    );
    None
}

/// Host and port to listen on.
pub(crate) fn address(
    shape: &Shape,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<SocketAddr> {
    let text = leaf::text(shape, place, findings)?;
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            let mend = match text.rsplit_once(':') {
                Some(("localhost", port)) => format!("write the address: `127.0.0.1:{port}`"),
                Some(("" | "*", port)) => format!(
                    "write `0.0.0.0:{port}` for every interface, `127.0.0.1:{port}` for this machine only"
                ),
                _ => "write an IP address and a port: `127.0.0.1:8083`, `[::1]:8083`".to_owned(),
            };
            findings.push(
                place
                    .error(Kind::BadValue, "not an address to listen on")
                    .value(text)
                    .mend(mend),
            );
            None
        }
    }
}

/// 64 hexadecimal digits, in lower case.
pub(crate) fn sha256(shape: &Shape, place: &Place<'_>, findings: &mut Findings) -> Option<String> {
    let text = leaf::text(shape, place, findings)?;
    let digits = text
        .strip_prefix("sha256:")
        .unwrap_or(&text)
        .to_ascii_lowercase();
    if digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(digits);
    }
    findings.push(
        place
            .error(Kind::BadValue, "not a SHA-256")
            .value(&text)
            .mend("write the 64 hexadecimal digits that `sha256sum <file>` prints"),
    );
    None
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (high, low) = (
            char::from(rest.next()?).to_digit(16)?,
            char::from(rest.next()?).to_digit(16)?,
        );
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
}

fn encoded(path: &Path) -> String {
    let mut encoded = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            encoded.push(char::from(*byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute_and_plain() {
        let base = Path::new("/etc/jackfield");
        for (text, absolute_path) in [
            ("data/log", "/etc/jackfield/data/log"),
            ("./a/./b/", "/etc/jackfield/a/b"),
            ("/x", "/x"),
            ("../y", "/etc/jackfield/../y"),
        ] {
            assert_eq!(absolute(base, text), Path::new(absolute_path), "{text}");
        }
    }

    #[test]
    fn sqlite_paths_survive_their_uri() {
        assert_eq!(
            encoded(Path::new("/a b/c%d?e#f/ü.db")),
            "/a%20b/c%25d%3Fe%23f/%C3%BC.db"
        );
        assert_eq!(decoded("/a%20b/%C3%BC.db").as_deref(), Some("/a b/ü.db"));
        for bad in ["%", "%2", "%zz", "%00", "%ff"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}
