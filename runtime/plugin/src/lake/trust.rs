//! How far the documents of tables are believed.
//!
//! A plugin writes objects of its lake; a table's document says where the table's files are, which
//! is granted to whoever loads it. So no plugin writes a document. Where a catalog's rows name
//! documents alone, of a place outside of the warehouse a document is believed only what its row
//! says too, which no plugin changes but by commits. A server says by itself where a table is.

use super::error::CatalogError;
use super::ident::Ident;
use super::uri::ObjectUri;

/// How the names of documents end. Catalogs and engines take these for a table's metadata.
const DOCUMENTS: [&str; 2] = [".metadata.json", ".metadata.json.gz"];
/// The folder of a table's location that Iceberg's writers put documents into.
const FOLDER: &str = "metadata";

/// Whether an object has the name of a document, also where case or an escape hides it: which of
/// them a file system or a reader looks through is not known here.
pub(crate) fn is_document(uri: &ObjectUri) -> bool {
    let name = uri.object().filename().unwrap_or_default();
    let name = unescaped(name).to_ascii_lowercase();
    DOCUMENTS.iter().any(|it| name.ends_with(it))
}

/// Where a table's files are, as the catalog itself says.
///
/// # Errors
/// It is out of reach, or the warehouse lies within it, and with that other tables.
pub(crate) fn said(
    warehouse: Option<&ObjectUri>,
    ident: &Ident,
    location: &str,
) -> Result<ObjectUri, CatalogError> {
    let location = ObjectUri::parse(location).map_err(|e| {
        CatalogError::Other(format!(
            "{ident}: its files are out of this lake's reach: {e}"
        ))
    })?;
    if warehouse.is_some_and(|it| it.is_below(&location)) {
        return Err(CatalogError::Denied(format!(
            "{ident}: the warehouse lies within its location {location}"
        )));
    }
    Ok(location)
}

/// Where a table's files are, as the document at `document` says, if that is believed.
///
/// # Errors
/// As [`said`], or it would grant more than the catalog does.
pub(crate) fn believed(
    warehouse: Option<&ObjectUri>,
    ident: &Ident,
    document: &str,
    location: &str,
) -> Result<ObjectUri, CatalogError> {
    let location = said(warehouse, ident, location)?;
    if warehouse.is_some_and(|it| location == *it || location.is_below(it)) {
        return Ok(location);
    }
    // Inside of the warehouse such a document can't lie: then its folder would, and with it the
    // location.
    let lies_there = ObjectUri::parse(document).is_ok_and(|it| {
        let folder = ObjectUri::parse(&format!("{location}/{FOLDER}"));
        folder.is_ok_and(|folder| it.is_right_in(&folder))
    });
    if lies_there {
        return Ok(location);
    }
    Err(CatalogError::Denied(format!(
        "{ident}: its document {document} says that its files are at {location}: outside of the \
         warehouse a table's documents have to lie in the folder `{FOLDER}` of its location"
    )))
}

/// With `%2E` and the like read as what they stand for.
fn unescaped(text: &str) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|it| std::str::from_utf8(it).ok());
        match digits.and_then(|it| u8::from_str_radix(it, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &behind[2..];
            }
            None => {
                plain.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_known_by_its_name_however_it_is_written() {
        let document = |name: &str| {
            let uri = format!("s3://b/t/metadata/{name}");
            is_document(&ObjectUri::parse(&uri).unwrap())
        };
        for name in [
            "00000-x.metadata.json",
            "v1.gz.metadata.json",
            "v1.metadata.json.gz",
            ".metadata.json",
            "x.METADATA.Json",
            "x%2Emetadata.json",
            "x.metadata%2ejson",
            "x.%6detadata.json.g%7a",
            "a&b=c%.metadata.json",
        ] {
            assert!(document(name), "{name}");
        }
        for name in [
            "metadata.json",
            "x.metadata.json5",
            "x.metadata.json.avro",
            "snap-1.avro",
            "%2",
        ] {
            assert!(!document(name), "{name}");
        }
    }

    #[test]
    fn a_document_is_believed_what_its_own_place_says() {
        let told = |warehouse: Option<&str>, document: &str, location: &str| {
            let warehouse = warehouse.map(|it| ObjectUri::parse(it).unwrap());
            let ident = Ident::parse("n.t").unwrap();
            believed(warehouse.as_ref(), &ident, document, location).map(|it| it.to_string())
        };
        for (warehouse, document, location) in [
            // In the warehouse, wherever the documents are.
            (Some("s3://b/w"), "s3://b/w/t/metadata/1", "s3://b/w/t"),
            (Some("s3://b/w"), "s3://c/m/1.metadata.json", "s3://b/w/t"),
            (Some("s3://b/w"), "s3://b/w/u/metadata/1", "s3a://b/w/t"),
            (Some("s3://b/w"), "s3://b/w/metadata/1", "s3://b/w"),
            // Elsewhere, by the place of the document alone.
            (Some("s3://b/w"), "s3a://b/x/t/metadata/1", "s3://b/x/t/"),
            (None, "s3://b/metadata/1", "s3://b"),
            (None, "file:/x/t/metadata/1", "file:///x/t"),
        ] {
            let told = told(warehouse, document, location);
            assert!(told.is_ok(), "{document} {location} {told:?}");
        }
        for (warehouse, document, location) in [
            (Some("s3://b/w"), "s3://b/w/t/metadata/1", "s3://c/t"),
            (Some("s3://b/w"), "s3://b/w/t/metadata/1", "s3://b/x"),
            (Some("s3://b/w/x"), "s3://b/w/metadata/1", "s3://b/w"),
            (Some("s3://b/w"), "s3://b/metadata/1", "s3://b"),
            (Some("s3://b/metadata"), "s3://b/metadata/1", "s3://b"),
            (Some("s3://b/w"), "s3://b/x/t/metadata/1", "s3://b/x"),
            (None, "s3://b/x/t/metadata/1", "s3://b/x"),
            (None, "s3://b/x/metadata/t/metadata/1", "s3://b/x"),
            (None, "s3://b/x/t/1", "s3://b/x/t"),
            (None, "s3://b/x/t/metadata/1", "s3://b/x/t/metadata"),
            (None, "nowhere", "s3://b/x/t"),
        ] {
            let told = told(warehouse, document, location);
            assert!(
                matches!(told, Err(CatalogError::Denied(_))),
                "{document} {location} {told:?}"
            );
        }
        // What a catalog itself says needs no document, and is not around the warehouse either.
        let told_by_itself = |location: &str| {
            let warehouse = ObjectUri::parse("s3://b/w").unwrap();
            said(Some(&warehouse), &Ident::parse("n.t").unwrap(), location)
        };
        assert!(told_by_itself("s3://c/t").is_ok() && told_by_itself("s3://b/w").is_ok());
        let around = told_by_itself("s3://b");
        assert!(matches!(around, Err(CatalogError::Denied(_))), "{around:?}");
        let unreached = told(None, "s3://b/t/metadata/1", "hdfs://b/t");
        assert!(
            matches!(unreached, Err(CatalogError::Other(_))),
            "{unreached:?}"
        );
    }
}
