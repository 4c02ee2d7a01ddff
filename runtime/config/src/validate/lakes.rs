//! Lakes: catalogs, and the stores below them.

use super::grants::headers;
use crate::catalogue::{CATALOG, LAKE, REST};
use crate::fields::{Fields, Place};
use crate::finding::{Findings, Kind};
use crate::secret::Secret;
use crate::types::{CatalogConfig, LakeConfig, OAuthConfig, RestConfig, StoreOption};
use crate::{leaf, places};
use std::collections::BTreeMap;
use std::path::Path;
use url::Url;

pub(super) fn lakes(
    fields: &Fields<'_>,
    base: &Path,
    findings: &mut Findings,
) -> BTreeMap<String, LakeConfig> {
    let named = fields.named("lakes", findings);
    named
        .into_iter()
        .filter_map(|named| Some((named.name.to_owned(), lake(&named.place, base, findings)?)))
        .collect()
}

fn lake(place: &Place<'_>, base: &Path, findings: &mut Findings) -> Option<LakeConfig> {
    let fields = Fields::open(place, &LAKE, findings)?;
    let catalog = fields
        .given("catalog")
        .and_then(|place| catalog(&place, base, findings));
    let warehouse = match fields.given("warehouse") {
        Some(_) => fields
            .read("warehouse", findings, |shape, place, findings| {
                places::warehouse(base, shape, place, findings)
            })
            .map(Some),
        None => {
            let needed = matches!(catalog, Some(CatalogConfig::Sql { .. }));
            if needed {
                findings.push(
                    place
                        .error(
                            Kind::MissingKey,
                            "a lake of a SQL catalog needs `warehouse`",
                        )
                        .mend("add `warehouse:`, a folder or `s3://bucket/prefix`"),
                );
            }
            (!needed).then_some(None)
        }
    };
    let store = store(&fields, warehouse.as_ref()?.as_ref(), findings);
    if let (Some(Some(uri)), Some(store), Some(place)) =
        (&warehouse, &store, fields.given("warehouse"))
        && uri.scheme() == "abfss"
        && !store.iter().any(|it| it.key == "endpoint")
        && !places::is_azures(uri)
    {
        let message = "its host is none of Azure's storage, and no endpoint is given";
        let mend = "write `abfss://container@account.dfs.core.windows.net/prefix`, or add `azure: { endpoint: \"https://…\" }`";
        // Who is given a key or a signature takes no endpoint of the environment.
        let is_given = store
            .iter()
            .any(|it| matches!(it.key, "access_key" | "sas_key"));
        findings.push(match is_given {
            true => place.error(Kind::BadValue, message).mend(mend),
            false => place.warning(Kind::BadValue, message).mend(format!(
                "{mend}, unless the environment has `AZURE_STORAGE_ENDPOINT` or `AZURE_STORAGE_USE_EMULATOR`"
            )),
        });
    }
    Some(LakeConfig {
        catalog: catalog?,
        warehouse: warehouse?,
        store: store?,
    })
}

fn catalog(place: &Place<'_>, base: &Path, findings: &mut Findings) -> Option<CatalogConfig> {
    let fields = Fields::open(place, &CATALOG, findings)?;
    match (fields.given("sql"), fields.given("rest")) {
        (Some(_), None) => fields.read("sql", findings, |shape, place, findings| {
            places::sql(base, shape, place, findings)
        }),
        (None, Some(place)) => rest(&place, findings),
        (Some(_), Some(_)) => {
            findings.push(
                place
                    .error(Kind::Conflict, "a lake has one catalog")
                    .mend("keep `sql` or `rest`"),
            );
            None
        }
        (None, None) => {
            findings.push(
                place
                    .error(Kind::MissingKey, "a catalog needs `sql` or `rest`")
                    .mend("add `sql: \"sqlite://data/catalog.db\"` or `rest: \"https://…\"`"),
            );
            None
        }
    }
}

fn rest(place: &Place<'_>, findings: &mut Findings) -> Option<CatalogConfig> {
    let fields = Fields::short_or_open(place, "uri", &REST, findings)?;
    let uri = fields.read("uri", findings, places::url);
    let warehouse = fields.read("warehouse", findings, leaf::text);
    let prefix = fields.read("prefix", findings, leaf::text);
    let token = fields.read("token", findings, leaf::secret);
    let oauth = match fields.given("oauth") {
        Some(_) => oauth(&fields, findings).map(Some),
        None => Some(None),
    };
    if token.is_some()
        && let Some(place) = fields.given("oauth")
    {
        findings.push(
            place
                .error(Kind::Conflict, "a token, and a way to get one")
                .mend("keep `token` or `oauth`"),
        );
    }
    let headers = headers(&fields, findings);
    if headers.contains_key("authorization")
        && (token.is_some() || fields.given("oauth").is_some())
        && let Some(place) = fields.given("headers")
    {
        findings.push(
            place
                .error(Kind::Conflict, "a header `authorization`, and a token")
                .mend("keep the header, or `token` or `oauth`"),
        );
    }
    let credentials = fields.read("credentials", findings, leaf::choice);
    Some(CatalogConfig::Rest(Box::new(RestConfig {
        uri: uri?,
        warehouse,
        prefix,
        token,
        oauth: oauth?,
        headers,
        vended_credentials: credentials? == "vended",
    })))
}

fn oauth(fields: &Fields<'_>, findings: &mut Findings) -> Option<OAuthConfig> {
    let fields = fields.section("oauth", findings)?;
    let client_id = fields.read("client-id", findings, leaf::text);
    let client_secret = fields.read("client-secret", findings, leaf::secret);
    let uri = fields.read("uri", findings, places::url);
    let scope = fields.read("scope", findings, leaf::text);
    Some(OAuthConfig {
        client_id: client_id?,
        client_secret: client_secret?,
        uri,
        scope: scope?,
    })
}

/// The options of the one store that the lake is in. Those of another would be taken for
/// something they are not.
fn store(
    fields: &Fields<'_>,
    warehouse: Option<&Url>,
    findings: &mut Findings,
) -> Option<Vec<StoreOption>> {
    let kinds = [("s3", "s3"), ("gcs", "gs"), ("azure", "abfss")];
    let given: Vec<_> = kinds
        .iter()
        .filter_map(|(key, scheme)| Some((*key, *scheme, fields.given(key)?)))
        .collect();
    for (key, scheme, place) in &given {
        if warehouse.is_some_and(|it| it.scheme() != *scheme) {
            findings.push(
                place
                    .error(
                        Kind::Conflict,
                        format!("the warehouse is not in `{scheme}://`"),
                    )
                    .mend(format!("remove `{key}`, or name a `{scheme}://` warehouse")),
            );
        }
    }
    if let [_, (_, _, second), ..] = given.as_slice() {
        findings.push(
            second
                .error(Kind::Conflict, "a lake is in one kind of store")
                .mend("keep one of `s3`, `gcs` and `azure`"),
        );
    }
    match given.first() {
        Some(("s3", ..)) => s3(fields, findings),
        Some(("gcs", ..)) => gcs(fields, findings),
        Some(_) => azure(fields, findings),
        // What holds without a word about it.
        None if warehouse.is_none_or(|it| it.scheme() == "s3") => s3(fields, findings),
        None => Some(Vec::new()),
    }
}

fn s3(fields: &Fields<'_>, findings: &mut Findings) -> Option<Vec<StoreOption>> {
    let fields = fields.section("s3", findings)?;
    let mut options = Vec::new();
    push(&mut options, "endpoint", url(&fields, "endpoint", findings));
    push(&mut options, "region", text(&fields, "region", findings));
    let id = text(&fields, "access-key-id", findings);
    let secret = fields.read("secret-access-key", findings, leaf::secret);
    if id.is_some() != secret.is_some() {
        let (there, missing) = match id.is_some() {
            true => ("access-key-id", "secret-access-key"),
            false => ("secret-access-key", "access-key-id"),
        };
        if let Some(place) = fields.given(there) {
            findings.push(
                place
                    .error(Kind::Conflict, format!("`{there}` without `{missing}`"))
                    .mend(format!("add `{missing}`, or remove `{there}`"))
                    .masked(),
            );
        }
    }
    push(&mut options, "access_key_id", id);
    push(&mut options, "secret_access_key", secret);
    let session = fields.read("session-token", findings, leaf::secret);
    push(&mut options, "session_token", session);
    let hosted = fields.read("addressing", findings, leaf::choice)? == "host";
    push(
        &mut options,
        "virtual_hosted_style_request",
        Some(Secret::new(hosted.to_string())),
    );
    match fields.read("checksum", findings, leaf::choice)? {
        "none" => {}
        checksum => push(
            &mut options,
            "checksum_algorithm",
            Some(Secret::new(checksum)),
        ),
    }
    Some(options)
}

fn gcs(fields: &Fields<'_>, findings: &mut Findings) -> Option<Vec<StoreOption>> {
    let fields = fields.section("gcs", findings)?;
    let mut options = Vec::new();
    let account = fields.read("service-account", findings, leaf::secret);
    push(&mut options, "service_account_key", account);
    push(&mut options, "base_url", url(&fields, "endpoint", findings));
    Some(options)
}

fn azure(fields: &Fields<'_>, findings: &mut Findings) -> Option<Vec<StoreOption>> {
    let fields = fields.section("azure", findings)?;
    let mut options = Vec::new();
    let key = fields.read("access-key", findings, leaf::secret);
    push(&mut options, "access_key", key);
    let sas = fields.read("sas-token", findings, leaf::secret);
    push(&mut options, "sas_key", sas);
    push(&mut options, "endpoint", url(&fields, "endpoint", findings));
    Some(options)
}

fn text(fields: &Fields<'_>, key: &str, findings: &mut Findings) -> Option<Secret> {
    fields.read(key, findings, leaf::text).map(Secret::new)
}

/// The library joins paths to it.
fn url(fields: &Fields<'_>, key: &str, findings: &mut Findings) -> Option<Secret> {
    let url = fields.read(key, findings, places::url)?;
    Some(Secret::new(url.as_str().trim_end_matches('/')))
}

fn push(options: &mut Vec<StoreOption>, key: &'static str, value: Option<Secret>) {
    options.extend(value.map(|value| StoreOption { key, value }));
}
