//! Objects in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::faults::Call;
use super::{Faults, held};
use crate::sink::{Entry, STORE_CHUNK_BYTES_MAX, Store, StoreError, Upload};

/// Uploads that are open now, and the most that ever were.
#[derive(Debug, Default)]
struct Uploads {
    now: AtomicUsize,
    most: AtomicUsize,
}

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Objects in memory; uploads appear when they are finished.
#[derive(Debug)]
pub struct FakeStore {
    objects: Objects,
    uploads: Arc<Uploads>,
    faults: Arc<Faults>,
}

impl FakeStore {
    pub(super) fn new(faults: Arc<Faults>) -> Self {
        Self {
            objects: Objects::default(),
            uploads: Arc::default(),
            faults,
        }
    }

    /// The most uploads that were ever open at once.
    #[must_use]
    pub fn uploads_max(&self) -> usize {
        self.uploads.most.load(Ordering::Relaxed)
    }

    /// The names of all objects.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        held(&self.objects).keys().cloned().collect()
    }

    /// An object, past all faults and limits.
    #[must_use]
    pub fn object(&self, uri: &str) -> Option<Vec<u8>> {
        held(&self.objects).get(uri).cloned()
    }

    /// Removes an object, past all faults.
    pub fn remove(&self, uri: &str) {
        held(&self.objects).remove(uri);
    }

    fn run<R>(
        &self,
        uri: &str,
        action: impl FnOnce() -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        run(&self.faults, uri, action)
    }
}

fn run<R>(
    faults: &Faults,
    uri: &str,
    action: impl FnOnce() -> Result<R, StoreError>,
) -> Result<R, StoreError> {
    let dead = || StoreError::Other("killed".to_owned());
    match faults.call() {
        Call::Dead => Err(dead()),
        Call::WorksUnheard => {
            action()?;
            Err(dead())
        }
        Call::Works => match faults.store_fault(uri) {
            Some(error) => Err(error),
            None => action(),
        },
    }
}

fn crossing(bytes: usize) -> Result<(), StoreError> {
    if bytes > STORE_CHUNK_BYTES_MAX {
        return Err(StoreError::TooLarge(bytes as u64));
    }
    Ok(())
}

struct FakeUpload {
    uri: String,
    bytes: Vec<u8>,
    objects: Objects,
    uploads: Arc<Uploads>,
    faults: Arc<Faults>,
}

impl Drop for FakeUpload {
    fn drop(&mut self) {
        self.uploads.now.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upload for FakeUpload {
    fn write(&mut self, chunk: &[u8]) -> Result<(), StoreError> {
        let bytes = &mut self.bytes;
        run(&self.faults, &self.uri, || {
            crossing(chunk.len())?;
            bytes.extend_from_slice(chunk);
            Ok(())
        })
    }

    fn finish(&mut self) -> Result<u64, StoreError> {
        run(&self.faults, &self.uri, || {
            held(&self.objects).insert(self.uri.clone(), self.bytes.clone());
            Ok(self.bytes.len() as u64)
        })
    }
}

impl Store for FakeStore {
    fn create(&self, uri: &str) -> Result<Box<dyn Upload>, StoreError> {
        self.run(uri, || {
            let now = self.uploads.now.fetch_add(1, Ordering::Relaxed) + 1;
            self.uploads.most.fetch_max(now, Ordering::Relaxed);
            Ok(Box::new(FakeUpload {
                uploads: Arc::clone(&self.uploads),
                uri: uri.to_owned(),
                bytes: Vec::new(),
                objects: Arc::clone(&self.objects),
                faults: Arc::clone(&self.faults),
            }) as Box<dyn Upload>)
        })
    }

    fn put(&self, uri: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.run(uri, || {
            crossing(bytes.len())?;
            held(&self.objects).insert(uri.to_owned(), bytes.to_vec());
            Ok(())
        })
    }

    fn get(&self, uri: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
        self.run(uri, || {
            let objects = held(&self.objects);
            let object = objects.get(uri).ok_or(StoreError::Missing)?;
            let bytes = match range {
                None => object.as_slice(),
                Some((offset, length)) => {
                    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                    let end = offset.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
                    object
                        .get(offset..end)
                        .ok_or_else(|| StoreError::Other("outside the object".to_owned()))?
                }
            };
            crossing(bytes.len())?;
            Ok(bytes.to_vec())
        })
    }

    fn head(&self, uri: &str) -> Result<Option<Entry>, StoreError> {
        self.run(uri, || {
            Ok(held(&self.objects).get(uri).map(|object| Entry {
                uri: uri.to_owned(),
                bytes: object.len() as u64,
                modified_ms: 0,
            }))
        })
    }

    fn delete(&self, uri: &str) -> Result<(), StoreError> {
        self.run(uri, || {
            held(&self.objects).remove(uri);
            Ok(())
        })
    }

    fn list(&self, prefix: &str, after: Option<&str>, max: u32) -> Result<Vec<Entry>, StoreError> {
        self.run(prefix, || {
            Ok(held(&self.objects)
                .iter()
                .filter(|(uri, _)| {
                    uri.starts_with(prefix) && after.is_none_or(|it| uri.as_str() > it)
                })
                .take(max as usize)
                .map(|(uri, object)| Entry {
                    uri: uri.clone(),
                    bytes: object.len() as u64,
                    modified_ms: 0,
                })
                .collect())
        })
    }
}
