//! What the hostile sink kept while it behaved: lines of records with their coordinates.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// A record as it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRecord {
    /// Where it lay in its partition.
    pub offset: i64,
    /// Its value.
    pub value: Vec<u8>,
}

/// What one sink holds, by topic and partition, in the order of its commits.
#[derive(Debug, Default)]
pub struct Kept {
    /// The records.
    pub partitions: BTreeMap<(String, i32), Vec<KeptRecord>>,
    /// Where the sink itself says it stands.
    pub positions: BTreeMap<(String, i32), i64>,
}

#[derive(Deserialize)]
struct Document {
    positions: Vec<Position>,
    files: Vec<String>,
}

#[derive(Deserialize)]
struct Position {
    topic: String,
    partition: i32,
    next: i64,
}

/// Reads what is kept below a folder: the files that the document names, and no others.
///
/// # Panics
/// There is no document, or a line is none.
pub fn kept_below(root: &Path) -> Kept {
    let document = std::fs::read(root.join("document.json"));
    let document = document.unwrap_or_else(|e| panic!("{}: {e}", root.display()));
    let document: Document = serde_json::from_slice(&document).unwrap();
    let mut kept = Kept::default();
    for it in document.positions {
        kept.positions.insert((it.topic, it.partition), it.next);
    }
    for file in document.files {
        let text = std::fs::read_to_string(root.join(&file)).unwrap();
        for line in text.lines() {
            let [topic, partition, offset, value] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{file}: {line}");
            };
            let at = (topic.to_owned(), partition.parse().unwrap());
            let record = KeptRecord {
                offset: offset.parse().unwrap(),
                value: bytes_of(value),
            };
            kept.partitions.entry(at).or_default().push(record);
        }
    }
    kept
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

impl Kept {
    /// All values, by partition and in order.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        let records = self.partitions.values().flatten();
        records.map(|record| record.value.as_slice())
    }

    /// What is wrong with it, if not every offset of each partition is there once and in order, from
    /// the first up to the position; but for those that `may_lack`.
    pub fn fault(&self, may_lack: impl Fn(i64) -> bool) -> Option<String> {
        self.positions.iter().find_map(|(at, next)| {
            let mut due = 0;
            let none = Vec::new();
            for record in self.partitions.get(at).unwrap_or(&none) {
                while due < record.offset && may_lack(due) {
                    due += 1;
                }
                if record.offset != due {
                    return Some(format!(
                        "{at:?}: offset {} where {due} is due",
                        record.offset
                    ));
                }
                due += 1;
            }
            while due < *next && may_lack(due) {
                due += 1;
            }
            (due != *next).then(|| format!("{at:?}: up to {due}, and it says up to {next}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(offsets: &[i64], next: i64) -> Kept {
        let at = ("t".to_owned(), 0);
        let record = |offset: &i64| KeptRecord {
            offset: *offset,
            value: Vec::new(),
        };
        Kept {
            partitions: [(at.clone(), offsets.iter().map(record).collect())].into(),
            positions: [(at, next)].into(),
        }
    }

    #[test]
    fn each_kind_of_fault_is_seen() {
        let never = |_| false;
        assert_eq!(kept(&[0, 1, 2], 3).fault(never), None);
        for wrong in [&[0, 2][..], &[0, 1, 1, 2], &[0, 2, 1], &[1, 2], &[0, 1]] {
            assert!(kept(wrong, 3).fault(never).is_some(), "{wrong:?}");
        }
        let even = |offset| offset % 2 == 0;
        assert_eq!(kept(&[1, 2, 3], 5).fault(even), None);
        assert!(kept(&[0, 2], 3).fault(even).is_some());
    }
}
