//! A table's name: `namespace.table`, where a namespace may have several levels.

use super::error::CatalogError;
use std::fmt;

/// As wide as the catalog's columns.
const PART_BYTES_MAX: usize = 255;

/// A table's name. Each level is good as the name of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ident {
    namespace: String,
    name: String,
}

impl Ident {
    pub(crate) fn parse(text: &str) -> Result<Self, CatalogError> {
        let bad = |why: &str| {
            let shown: String = text.chars().take(PART_BYTES_MAX).collect();
            CatalogError::Other(format!("`{}` names no table: {why}", shown.escape_debug()))
        };
        let (namespace, name) = text
            .rsplit_once('.')
            .ok_or_else(|| bad("write `namespace.table`"))?;
        if namespace.len() > PART_BYTES_MAX || name.len() > PART_BYTES_MAX {
            return Err(bad("more than 255 bytes"));
        }
        if text.split('.').any(str::is_empty) {
            return Err(bad("one of its levels is empty"));
        }
        // A level becomes a folder, and its URI is read by tools that split at these.
        let unfit = |c: char| c.is_control() || matches!(c, '/' | '\\' | '%' | '?' | '#');
        if text.contains(unfit) {
            return Err(bad(
                "none of / \\ % ? # can be in it, nor control characters",
            ));
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The levels, with dots between them: as SQL catalogs keep it.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The table's folders below a warehouse.
    pub(crate) fn folders(&self) -> String {
        format!("{}/{}", self.namespace.replace('.', "/"), self.name)
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_level_is_the_table() {
        let ident = Ident::parse("market.spot.trades").unwrap();
        assert_eq!((ident.namespace(), ident.name()), ("market.spot", "trades"));
        assert_eq!(ident.folders(), "market/spot/trades");
        assert_eq!(ident.to_string(), "market.spot.trades");
    }

    #[test]
    fn what_could_leave_the_warehouse_names_no_table() {
        for bad in [
            "",
            "trades",
            ".trades",
            "market.",
            "market..trades",
            "../../etc.passwd",
            "a/b.c",
            "a.b/../c",
            "a.b\\c",
            "a.%2e%2e",
            "a.b\0",
            "a.b\n",
            "a.b#1",
            "a.b?x",
        ] {
            assert!(Ident::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Ident::parse(&format!("a.{}", "x".repeat(256))).is_err());
    }
}
