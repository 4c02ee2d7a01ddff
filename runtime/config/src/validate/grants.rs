//! What a plugin may reach.

use crate::catalogue::{GRANT, HTTP_GRANT, WEBSOCKET_GRANT};
use crate::fields::{Fields, Place};
use crate::finding::{Findings, Kind};
use crate::secret::Secret;
use crate::types::{End, Grants, HttpGrant, WebSocketGrant};
use crate::{leaf, places};
use std::collections::BTreeMap;

use super::pipelines::Declared;

/// `allow:` of a source or of a sink, whose sections differ.
pub(super) fn read(
    fields: &Fields<'_>,
    end: End,
    declared: &mut Declared<'_>,
    findings: &mut Findings,
) -> Option<Grants> {
    let allow = fields.section("allow", findings)?;
    let mut grants = Grants::default();
    match end {
        End::Source => websockets(&allow, &mut grants, findings),
        End::Sink => lake(&allow, &mut grants, declared, findings),
    }
    for place in allow.items("http", findings) {
        grants.http.extend(http(&place, findings));
    }
    Some(grants)
}

/// `grants:` of the file, which either end may refer to.
pub(super) fn named(
    fields: &Fields<'_>,
    declared: &mut Declared<'_>,
    findings: &mut Findings,
) -> BTreeMap<String, Grants> {
    let mut all = BTreeMap::new();
    for named in fields.named("grants", findings) {
        let Some(allow) = Fields::open(&named.place, &GRANT, findings) else {
            continue;
        };
        let mut grants = Grants::default();
        websockets(&allow, &mut grants, findings);
        lake(&allow, &mut grants, declared, findings);
        for place in allow.items("http", findings) {
            grants.http.extend(http(&place, findings));
        }
        all.insert(named.name.to_owned(), grants);
    }
    all
}

fn websockets(allow: &Fields<'_>, grants: &mut Grants, findings: &mut Findings) {
    for place in allow.items("websocket", findings) {
        grants.websocket.extend(websocket(&place, findings));
    }
}

fn lake(
    allow: &Fields<'_>,
    grants: &mut Grants,
    declared: &mut Declared<'_>,
    findings: &mut Findings,
) {
    grants.lake = allow.read("lake", findings, |shape, place, findings| {
        let lake = leaf::text(shape, place, findings)?;
        declared
            .lakes
            .refer("lake", &lake, place, findings)
            .then_some(lake)
    });
}

fn websocket(place: &Place<'_>, findings: &mut Findings) -> Option<WebSocketGrant> {
    let fields = Fields::short_or_open(place, "url", &WEBSOCKET_GRANT, findings)?;
    Some(WebSocketGrant {
        url: fields.read("url", findings, places::url)?,
    })
}

fn http(place: &Place<'_>, findings: &mut Findings) -> Option<HttpGrant> {
    let fields = Fields::short_or_open(place, "url", &HTTP_GRANT, findings)?;
    let url = fields.read("url", findings, places::url);
    let headers = headers(&fields, findings);
    Some(HttpGrant { url: url?, headers })
}

/// The mapping below `headers`; names in lower case.
pub(super) fn headers(fields: &Fields<'_>, findings: &mut Findings) -> BTreeMap<String, Secret> {
    let mut headers = BTreeMap::new();
    for named in fields.named("headers", findings) {
        let Some(value) = header(&named.place, findings) else {
            continue;
        };
        if headers
            .insert(named.name.to_ascii_lowercase(), value)
            .is_some()
        {
            findings.push(
                named
                    .place
                    .error(
                        Kind::DuplicateKey,
                        "a header is given twice, in capitals and not",
                    )
                    .mend("keep one: the case of a header's name means nothing"),
            );
        }
    }
    headers
}

fn header(place: &Place<'_>, findings: &mut Findings) -> Option<Secret> {
    let value = leaf::secret(&HEADER, place, findings)?;
    if value
        .expose()
        .bytes()
        .all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
    {
        return Some(value);
    }
    findings.push(
        place
            .error(Kind::BadValue, "not a header's value")
            .masked()
            .mend("only visible ASCII characters can be sent: look for a line break in it"),
    );
    None
}

const HEADER: crate::catalogue::Shape =
    crate::catalogue::Shape::Secret(crate::catalogue::Text::Header);
