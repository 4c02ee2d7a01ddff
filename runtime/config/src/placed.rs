//! A part of the file that others check as well: where each of its values stands.

use crate::fields::Place;
use crate::finding::{Finding, Kind};
use crate::tree::{Node, Path};
use std::fmt;
use std::sync::Arc;

/// Locates what is found about a part of the file after it was read. Values are never shown.
#[derive(Clone)]
pub struct Placed(Arc<(Path, Node)>);

impl Placed {
    pub(crate) fn new(place: &Place<'_>) -> Self {
        Placed(Arc::new((place.path.clone(), place.node.clone())))
    }

    /// An error at the deepest value that there is on the way through these keys.
    pub fn error(&self, keys: &[&str], message: &str, mend: &str) -> Finding {
        let (path, node) = &*self.0;
        let (mut path, mut node) = (path.clone(), node);
        for key in keys {
            let Some(next) = node.child(key) else { break };
            (path, node) = (path.key(key), next);
        }
        Finding::error(Kind::BadValue, &path, node.at, message).mend(mend)
    }
}

impl PartialEq for Placed {
    /// Moving lines in a file changes nothing.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Placed {}

impl fmt::Debug for Placed {
    /// The values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Placed").finish_non_exhaustive()
    }
}
