//! The admin server: where it listens, and whom it lets in.

use crate::fields::Fields;
use crate::finding::{Findings, Kind};
use crate::types::{AdminAuth, AdminConfig, AdminTls};
use crate::{leaf, places};
use std::path::Path;

pub(super) fn read(
    fields: &Fields<'_>,
    base: &Path,
    findings: &mut Findings,
) -> Option<AdminConfig> {
    let admin = fields.section("admin", findings)?;
    let listen = admin.read("listen", findings, places::address);
    let token = admin.read("token", findings, leaf::secret);
    let expose = admin
        .read("expose", findings, leaf::choice)
        .map(|word| word == "true");
    let auth = admin
        .read("auth", findings, leaf::choice)
        .map(|word| match word {
            "none" => AdminAuth::None,
            _ => AdminAuth::Token,
        });
    let mut hosts = Vec::new();
    for place in admin.items("hosts", findings) {
        hosts.extend(leaf::text(&HOST, &place, findings).map(|host| host.to_ascii_lowercase()));
    }
    let components = admin.read("components", findings, |shape, place, findings| {
        places::path(base, shape, place, findings)
    });
    // Given, and not to be read, is found in there.
    let tls = admin
        .given("tls")
        .map(|_| self::tls(&admin, base, findings));
    let broken = tls == Some(None);
    let config = AdminConfig {
        listen: listen?,
        token,
        expose: expose?,
        auth: auth?,
        hosts,
        components,
        tls: tls.flatten(),
    };
    check(&admin, &config, findings);
    (!broken).then_some(config)
}

const HOST: crate::catalogue::Shape = crate::catalogue::Shape::Text(crate::catalogue::Text::Name);

fn tls(admin: &Fields<'_>, base: &Path, findings: &mut Findings) -> Option<AdminTls> {
    let tls = admin.section("tls", findings)?;
    let mut file = |key| {
        tls.read(key, findings, |shape, place, findings| {
            places::path(base, shape, place, findings)
        })
    };
    let (cert, key) = (file("cert"), file("key"));
    Some(AdminTls {
        cert: cert?,
        key: key?,
    })
}

/// Who is let in from where.
fn check(admin: &Fields<'_>, config: &AdminConfig, findings: &mut Findings) {
    if config.listen.ip().is_loopback() {
        return;
    }
    if config.auth == AdminAuth::None
        && let Some(place) = admin.given("auth")
    {
        findings.push(
            place
                .error(
                    Kind::Conflict,
                    "other machines reach this address, and none of them would be asked who it is",
                )
                .value("none")
                .mend("remove `auth` and give clients the token, or listen on `127.0.0.1`"),
        );
    }
    if config.token.is_none()
        && !config.expose
        && let Some(place) = admin.given("listen")
    {
        findings.push(
            place
                .error(Kind::Conflict, "other machines reach this address")
                .value(config.listen.to_string())
                .mend("give `admin` a `token`, such as `${file:/run/secrets/admin-token}`; or say `expose: true`, and the token of the state folder is asked for"),
        );
    }
}
