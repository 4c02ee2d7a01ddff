//! A lake as the file names it → as the host opens it.

use jackfield_config::{CatalogConfig as Named, RestConfig};
use jackfield_plugin::lake::{
    CatalogConfig, LakeConfig, RestAuth, RestCatalogConfig, StoreOptions,
};

pub(crate) fn lake_config(name: &str, config: &jackfield_config::LakeConfig) -> LakeConfig {
    LakeConfig {
        name: name.to_owned(),
        catalog: match &config.catalog {
            Named::Sql { uri, .. } => CatalogConfig::Sql {
                uri: uri.expose().into(),
            },
            Named::Rest(rest) => CatalogConfig::Rest(Box::new(rest_config(rest))),
        },
        warehouse: config.warehouse.clone(),
        store: config
            .store
            .iter()
            .fold(StoreOptions::default(), |store, option| {
                store.with(option.key, option.value.expose())
            }),
    }
}

fn rest_config(rest: &RestConfig) -> RestCatalogConfig {
    let auth = match (&rest.token, &rest.oauth) {
        (Some(token), _) => RestAuth::Token(token.expose().into()),
        (None, Some(oauth)) => RestAuth::OAuth {
            client_id: oauth.client_id.clone(),
            client_secret: oauth.client_secret.expose().into(),
            uri: oauth.uri.clone(),
            scope: oauth.scope.clone(),
        },
        (None, None) => RestAuth::None,
    };
    RestCatalogConfig {
        uri: rest.uri.clone(),
        warehouse: rest.warehouse.clone(),
        prefix: rest.prefix.clone(),
        auth,
        headers: rest
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().into()))
            .collect(),
        vended_credentials: rest.vended_credentials,
    }
}
