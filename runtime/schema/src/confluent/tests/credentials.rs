//! Who we are, and that nobody else learns it.

use super::fake::{Fake, refusal, told};
use super::{TRADE, settings, with_auth};
use crate::confluent::{Auth, ConfluentSettings, SettingsError};
use crate::{Registry, SchemaError};

const SECRET: &str = "opensesame";
/// `me:opensesame` in base64, as basic credentials are sent.
const ENCODED: &str = "bWU6b3BlbnNlc2FtZQ==";

fn basic() -> Auth {
    Auth::Basic {
        user: "me".to_owned(),
        password: SECRET.into(),
    }
}

fn bearer() -> Auth {
    Auth::Bearer(SECRET.into())
}

#[tokio::test]
async fn credentials_are_sent_with_each_request() {
    let fake = Fake::serve(|_, _| told(TRADE)).await;
    let with_user = fake.url().replace("http://", "http://me:opensesame@");
    let sent_basic = "Basic bWU6b3BlbnNlc2FtZQ==";
    for (index, (url, auth, sent)) in [
        (fake.url(), basic(), Some(sent_basic)),
        (with_user, Auth::None, Some(sent_basic)),
        (fake.url(), bearer(), Some("Bearer opensesame")),
        (fake.url(), Auth::None, None),
    ]
    .into_iter()
    .enumerate()
    {
        with_auth(&url, auth).unwrap().get(7).await.unwrap();
        assert_eq!(fake.seen()[index].authorization.as_deref(), sent);
    }
}

#[tokio::test]
async fn refused_credentials_are_said_at_once_and_not_shown() {
    for status in [401, 403] {
        let fake = Fake::serve(move |_, seen| {
            let message = format!("no: {:?} {SECRET}", seen.authorization);
            refusal(status, status.into(), &message)
        })
        .await;
        let with_user = fake.url().replace("http://", "http://me:opensesame@");
        for (index, (url, auth)) in [
            (fake.url(), bearer()),
            (fake.url(), basic()),
            (with_user, Auth::None),
        ]
        .into_iter()
        .enumerate()
        {
            let registry = with_auth(&url, auth).unwrap();
            let error = registry.get(7).await.unwrap_err();
            assert!(matches!(error, SchemaError::Denied(_)), "{error}");
            assert!(error.to_string().contains("no: "), "{error}");
            let shown = format!("{error} {error:?} {registry:?}");
            assert!(
                !shown.contains(SECRET) && !shown.contains(ENCODED),
                "{shown}"
            );
            assert_eq!(fake.seen().len(), index + 1, "not asked again");
        }
    }
}

#[test]
fn credentials_are_not_in_what_is_printed() {
    for (url, auth) in [
        ("http://a", basic()),
        ("http://a", bearer()),
        ("http://me:opensesame@a", Auth::None),
    ] {
        let settings = ConfluentSettings {
            auth,
            ..settings(url)
        };
        assert!(!format!("{settings:?}").contains(SECRET), "{settings:?}");
    }
}

#[test]
fn credentials_that_can_not_be_sent_are_refused() {
    for (url, auth) in [
        ("http://a", Auth::Bearer("opensesame\n".into())),
        ("http://a", Auth::Bearer("".into())),
        ("http://me:opensesame@a", bearer()),
        (
            "http://a",
            Auth::Basic {
                user: "a:b".to_owned(),
                password: SECRET.into(),
            },
        ),
    ] {
        let error = with_auth(url, auth).unwrap_err();
        assert!(matches!(error, SettingsError::Auth(_)), "{error}");
        assert!(!format!("{error} {error:?}").contains(SECRET), "{error}");
    }
}
