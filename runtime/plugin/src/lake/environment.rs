//! What the environment of the process says of stores.

use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::str::FromStr;

/// Variables of the stores' vendors, and two names that the stores' library knows besides.
const PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];
const OTHERS: [&str; 2] = [SERVICE_ACCOUNT, IDENTITY_ENDPOINT];
/// The file of a service account of Google's.
pub(crate) const SERVICE_ACCOUNT: &str = "SERVICE_ACCOUNT";
/// Where a machine of Azure's gives out its identity.
pub(crate) const IDENTITY_ENDPOINT: &str = "IDENTITY_ENDPOINT";

/// Variables by their names. Some are secrets, and which ones only a store knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, SecretString>);

impl Environment {
    pub(crate) fn of_process() -> Self {
        let variables = std::env::vars_os();
        variables
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| {
                PREFIXES.iter().any(|it| name.starts_with(it)) || OTHERS.contains(&name.as_str())
            })
            .collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(ExposeSecret::expose_secret)
    }

    /// Those whose names begin so, as far as the stores' library knows them: what it takes them for.
    pub(crate) fn known<K: FromStr>(&self, prefix: &str) -> impl Iterator<Item = (K, &str)> {
        let named = self.0.iter().filter(move |(it, _)| it.starts_with(prefix));
        named.filter_map(|(name, value)| {
            let key = K::from_str(&name.to_ascii_lowercase()).ok()?;
            Some((key, value.expose_secret()))
        })
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        let variables = variables.into_iter();
        Self(variables.map(|(it, value)| (it, value.into())).collect())
    }
}
