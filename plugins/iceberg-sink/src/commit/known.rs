//! Tables as they were last seen, so that a catalog need not send what it has sent. Only the last
//! few: a table's metadata has all of its history, and a connector may write to thousands.

use std::collections::BTreeMap;

use iceberg::table::Table;

use crate::tables::Loaded;

/// Bytes of the documents whose tables are kept. Parsed they take about three times as much: a
/// fifth of the memory that a component is given unless the file says otherwise.
pub(crate) const KNOWN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a table counts at least: schemas, names and handles, however small its document.
const TABLE_BYTES_MIN: usize = 16 * 1024;

struct Kept {
    table: Table,
    document_bytes: usize,
    /// When it was last seen, in looks.
    seen_at: u64,
}

impl Kept {
    fn counts(&self) -> usize {
        self.document_bytes.max(TABLE_BYTES_MIN)
    }
}

/// The tables that were seen last: always the very last one, and as many others as there is room
/// for.
#[derive(Default)]
pub(crate) struct Known {
    tables: BTreeMap<String, Kept>,
    bytes: usize,
    looks: u64,
}

impl Known {
    pub(super) fn get(&self, target: &str) -> Option<&Table> {
        self.tables.get(target).map(|it| &it.table)
    }

    /// The size of the table's document, as it was last seen; nothing, if that is not known.
    pub(super) fn document_bytes(&self, target: &str) -> usize {
        self.tables.get(target).map_or(0, |it| it.document_bytes)
    }

    /// The table was looked at.
    pub(super) fn saw(&mut self, target: &str, loaded: &Loaded) {
        let bytes = loaded.document_bytes;
        let bytes = bytes.unwrap_or_else(|| self.document_bytes(target));
        self.keep(target, loaded.table.clone(), bytes);
    }

    pub(super) fn keep(&mut self, target: &str, table: Table, document_bytes: usize) {
        self.forget(target);
        self.looks += 1;
        let kept = Kept {
            table,
            document_bytes,
            seen_at: self.looks,
        };
        self.bytes += kept.counts();
        self.tables.insert(target.to_owned(), kept);
        while self.bytes > KNOWN_BYTES_MAX && self.tables.len() > 1 {
            let longest_ago = self.tables.iter().min_by_key(|(_, it)| it.seen_at);
            let Some(target) = longest_ago.map(|(target, _)| target.clone()) else {
                break;
            };
            self.forget(&target);
        }
    }

    pub(super) fn forget(&mut self, target: &str) {
        if let Some(kept) = self.tables.remove(target) {
            self.bytes -= kept.counts();
        }
    }

    /// How many tables there are, and their documents' bytes.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        let bytes = self.tables.values().map(|it| it.document_bytes).sum();
        (self.tables.len(), bytes)
    }
}
