//! The URLs of a registry.

use super::settings::SettingsError;
use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use std::str::FromStr;
use url::Url;

/// Most URLs: they are tried one after another, and a registry of more nodes has a load balancer.
const URLS_MAX: usize = 8;

/// One or more URLs of one registry, separated by commas: when one does not serve, the next is
/// asked. A path is kept (`https://host/apis/ccompat/v7`); a user and password in a URL are taken
/// as basic credentials for it.
#[derive(Debug, Clone)]
pub struct Addresses(Vec<Address>);

/// One URL, without credentials.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) url: Url,
    pub(super) user: Option<(String, SecretString)>,
}

impl Addresses {
    pub(super) fn all(&self) -> &[Address] {
        &self.0
    }
}

impl FromStr for Addresses {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        if parts.len() > URLS_MAX {
            return Err(SettingsError::Url {
                nth: URLS_MAX + 1,
                reason: format!("more than {URLS_MAX} URLs"),
            });
        }
        let addresses = parts.iter().enumerate().map(|(index, part)| {
            address(part).map_err(|reason| SettingsError::Url {
                nth: index + 1,
                reason,
            })
        });
        addresses.collect::<Result<_, _>>().map(Self)
    }
}

fn address(text: &str) -> Result<Address, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let mut url = Url::parse(text).map_err(|e| e.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it must begin with http:// or https://".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("nothing may follow the path".to_owned());
    }
    let decoded = |part: &str| {
        let part = percent_decode_str(part).decode_utf8();
        part.map(String::from)
            .map_err(|_| "its user or password is not UTF-8".to_owned())
    };
    let user = match (url.username(), url.password()) {
        ("", None) => None,
        (user, password) => Some((
            decoded(user)?,
            decoded(password.unwrap_or_default())?.into(),
        )),
    };
    // Neither fails for http and https, which have a host.
    url.set_username("").ok();
    url.set_password(None).ok();
    Ok(Address { url, user })
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn several_urls_paths_and_users() {
        let addresses: Addresses = "http://a:8081, https://me:p%40ss@b/apis/ccompat/v7/"
            .parse()
            .unwrap();
        let [first, second] = addresses.all() else {
            panic!("two")
        };
        assert_eq!(first.url.as_str(), "http://a:8081/");
        assert!(first.user.is_none());
        assert_eq!(second.url.as_str(), "https://b/apis/ccompat/v7/");
        let (user, password) = second.user.clone().unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("me", "p@ss"));
        assert!(!format!("{addresses:?}").contains("p@ss"));
        assert!(!format!("{addresses:?}").contains("p%40ss"));
    }

    #[test]
    fn what_is_no_url_is_named_by_its_place_and_not_repeated() {
        for (text, nth) in [
            ("", 1),
            ("http://a,", 2),
            ("http://a,ftp://u:secret@b", 2),
            ("localhost:8081", 1),
            ("http://u:secret@", 1),
            ("http://a?x=secret", 1),
            ("a,b,c,d,e,f,g,h,i", 9),
        ] {
            let error = text.parse::<Addresses>().unwrap_err();
            assert!(error.to_string().contains(&format!("URL {nth} ")), "{text}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
