//! The section `admin`.

use crate::common::parse;
use crate::with_sink;
use jackfield_config::*;
use std::path::Path;

#[test]
fn an_admin_server_for_others_has_a_token_or_says_that_it_is_exposed() {
    let admin =
        |admin: &str| parse(&format!("admin: {admin}\n{}", with_sink(""))).map(|it| it.admin);
    let ours = admin("{}").unwrap();
    assert_eq!(
        (ours.auth, ours.expose, ours.tls),
        (AdminAuth::Token, false, None)
    );
    assert_eq!(admin("{ auth: none }").unwrap().auth, AdminAuth::None);
    assert!(admin("{ listen: '[::1]:0', auth: none }").is_ok());
    assert!(admin("{ listen: '0.0.0.0:80' }").is_err());
    assert!(
        admin("{ listen: '0.0.0.0:80', expose: true }")
            .unwrap()
            .expose
    );
    assert!(admin("{ listen: '10.0.0.1:80', token: t, auth: none }").is_err());
    let whole = admin(
        "{ listen: '10.0.0.1:443', token: t, hosts: [Admin.example], components: swaps, tls: { cert: c.pem, key: k.pem } }",
    );
    let whole = whole.unwrap();
    assert_eq!(whole.hosts, ["admin.example"]);
    assert_eq!(
        whole.components.as_deref(),
        Some(Path::new("/etc/jackfield/swaps"))
    );
    assert_eq!(whole.tls.unwrap().cert, Path::new("/etc/jackfield/c.pem"));
}
