//! JSON → Avro datum, in one pass over the text.

mod datum;
mod flat;
mod keys;
mod scan;
mod seed;

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod tests;

use crate::plan::{Id, Plan};
use flat::FlatReader;
use seed::Seed;
use serde::de::DeserializeSeed;
use std::collections::BTreeSet;

/// After so many texts in a row that the quick way does not read, it is not tried any more: their
/// producer writes them so, and each was looked at twice.
const ODD_IN_A_ROW_MAX: u32 = 16;

/// Why a text is no value of a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the JSON of its schema: {0}")]
pub struct Unreadable(String);

impl Plan {
    /// The datum of a JSON text, and the names of fields in it that the schema does not have, each
    /// once.
    ///
    /// # Errors
    /// [`Unreadable`], with the place in the text.
    pub fn datum_of(&self, text: &[u8]) -> Result<(Vec<u8>, Vec<String>), Unreadable> {
        let mut unknown = BTreeSet::new();
        let mut reader = DatumReader::of(self);
        reader.datum.reserve(text.len());
        reader.read(text, &mut unknown)?;
        Ok((reader.datum, unknown.into_iter().collect()))
    }

    /// One value of a node, such as a default.
    pub(crate) fn encode(&self, node: Id, text: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let mut datum = Vec::new();
        self.read(node, text, &mut datum, &mut Vec::new())?;
        Ok(datum)
    }

    fn read(
        &self,
        node: Id,
        text: &[u8],
        out: &mut Vec<u8>,
        unknown: &mut Vec<String>,
    ) -> Result<(), Unreadable> {
        let bad = |e: serde_json::Error| Unreadable(e.to_string());
        let mut json = serde_json::Deserializer::from_slice(text);
        let seed = Seed {
            plan: self,
            node,
            out,
            unknown,
        };
        seed.deserialize(&mut json).map_err(bad)?;
        json.end().map_err(bad)
    }
}

/// Reads texts of one schema, one after another: keeps its buffers, and what it learned of them.
pub(crate) struct DatumReader<'p> {
    plan: &'p Plan,
    flat: Option<FlatReader<'p>>,
    /// Texts since the last one that `flat` read.
    odd_in_a_row: u32,
    datum: Vec<u8>,
    /// Of the text that serde read last.
    unknown: Vec<String>,
}

impl<'p> DatumReader<'p> {
    pub(crate) fn of(plan: &'p Plan) -> Self {
        Self {
            plan,
            flat: FlatReader::of(plan),
            odd_in_a_row: 0,
            datum: Vec::new(),
            unknown: Vec::new(),
        }
    }

    /// The datum of a text. Names of fields in it that the schema does not have go to `unknown`,
    /// unless it is unreadable.
    pub(crate) fn read(
        &mut self,
        text: &[u8],
        unknown: &mut BTreeSet<String>,
    ) -> Result<&[u8], Unreadable> {
        self.datum.clear();
        if let Some(flat) = &mut self.flat {
            if flat.read(text, &mut self.datum).is_some() {
                for name in flat.strangers() {
                    if !unknown.contains(name) {
                        unknown.insert(name.to_owned());
                    }
                }
                self.odd_in_a_row = 0;
                return Ok(&self.datum);
            }
            self.odd_in_a_row += 1;
            if self.odd_in_a_row == ODD_IN_A_ROW_MAX {
                self.flat = None;
            }
        }
        self.datum.clear();
        self.unknown.clear();
        let plan = self.plan;
        plan.read(plan.root, text, &mut self.datum, &mut self.unknown)?;
        unknown.extend(self.unknown.drain(..));
        Ok(&self.datum)
    }
}
