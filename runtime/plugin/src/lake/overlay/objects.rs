//! Objects of two layers: what was written, over what is there.

use super::super::error::StoreError;
use super::super::store::Objects;
use super::super::uri::{ObjectUri, Root};
use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, future};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How errors name this store.
const STORE: &str = "overlay";

/// The overlay of a lake's objects.
#[derive(Debug)]
pub(crate) struct Overlay {
    base: Objects,
    scratch: PathBuf,
    room: Arc<Room>,
    layers: Mutex<BTreeMap<Root, Layer>>,
}

/// What was written over one file system or bucket.
#[derive(Debug, Clone)]
struct Layer {
    upper: Arc<LocalFileSystem>,
    changes: Arc<Mutex<Changes>>,
}

#[derive(Debug, Default)]
struct Changes {
    written: BTreeSet<Path>,
    deleted: BTreeSet<Path>,
}

#[derive(Debug)]
struct Room {
    bytes: AtomicU64,
    bytes_max: u64,
}

impl Room {
    /// Nothing is given back: what is deleted stays until all of it is thrown away.
    fn take(&self, bytes: usize) -> Result<()> {
        let bytes = bytes as u64;
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        if before.saturating_add(bytes) <= self.bytes_max {
            return Ok(());
        }
        Err(Error::NotSupported {
            source: format!("a shadow writes at most {} bytes", self.bytes_max).into(),
        })
    }
}

impl Overlay {
    pub(super) fn over(base: Objects, scratch: &std::path::Path, bytes_max: u64) -> Self {
        Self {
            base,
            scratch: scratch.to_owned(),
            room: Arc::new(Room {
                bytes: AtomicU64::new(0),
                bytes_max,
            }),
            layers: Mutex::default(),
        }
    }

    /// The store of a place: over the real one as it is reached now.
    pub(crate) async fn of(
        &self,
        uri: &ObjectUri,
    ) -> std::result::Result<Arc<dyn ObjectStore>, StoreError> {
        let base = Box::pin(self.base.of(uri)).await?;
        let layer = self.layer(uri.root())?;
        Ok(Arc::new(OverlayStore {
            base,
            layer,
            room: Arc::clone(&self.room),
        }))
    }

    fn layer(&self, root: &Root) -> std::result::Result<Layer, StoreError> {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layer) = layers.get(root) {
            return Ok(layer.clone());
        }
        let folder = self.scratch.join(layers.len().to_string());
        let failed = |e: &dyn fmt::Display| {
            StoreError::Other(format!("the scratch folder {}: {e}", folder.display()))
        };
        std::fs::create_dir_all(&folder).map_err(|e| failed(&e))?;
        let upper = LocalFileSystem::new_with_prefix(&folder).map_err(|e| failed(&e))?;
        let layer = Layer {
            upper: Arc::new(upper),
            changes: Arc::default(),
        };
        layers.insert(root.clone(), layer.clone());
        Ok(layer)
    }
}

#[derive(Debug)]
struct OverlayStore {
    base: Arc<dyn ObjectStore>,
    layer: Layer,
    room: Arc<Room>,
}

impl Layer {
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrote(&self, at: &Path) {
        let mut changes = self.changes();
        changes.deleted.remove(at);
        changes.written.insert(at.clone());
    }
}

impl fmt::Display for OverlayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an overlay of {}", self.base)
    }
}

fn not_there(at: &Path) -> Error {
    Error::NotFound {
        path: at.to_string(),
        source: "deleted in the overlay".into(),
    }
}

fn not_offered(operation: &str) -> Error {
    Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: STORE.to_owned(),
    }
}

#[async_trait]
impl ObjectStore for OverlayStore {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.room.take(bytes.content_length())?;
        let put = self.layer.upper.put_opts(at, bytes, how).await?;
        self.layer.wrote(at);
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(OverlayUpload {
            upper: self.layer.upper.put_multipart_opts(at, how).await?,
            at: at.clone(),
            layer: self.layer.clone(),
            room: Arc::clone(&self.room),
        }))
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        let (written, deleted) = {
            let changes = self.layer.changes();
            (changes.written.contains(at), changes.deleted.contains(at))
        };
        match (written, deleted) {
            (true, _) => self.layer.upper.get_opts(at, how).await,
            (false, true) => Err(not_there(at)),
            (false, false) => self.base.get_opts(at, how).await,
        }
    }

    fn delete_stream(
        &self,
        all: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let layer = self.layer.clone();
        let deleted = all.and_then(move |at| {
            let layer = layer.clone();
            async move {
                let written = {
                    let mut changes = layer.changes();
                    changes.deleted.insert(at.clone());
                    changes.written.remove(&at)
                };
                if written {
                    layer.upper.delete(&at).await?;
                }
                Ok(at)
            }
        });
        deleted.boxed()
    }

    fn list(&self, below: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let layer = self.layer.clone();
        let real = self.base.list(below).try_filter(move |meta| {
            let changes = layer.changes();
            let at = &meta.location;
            future::ready(!changes.written.contains(at) && !changes.deleted.contains(at))
        });
        self.layer.upper.list(below).chain(real).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(not_offered("list_with_delimiter"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_offered("copy"))
    }
}

#[derive(Debug)]
struct OverlayUpload {
    upper: Box<dyn MultipartUpload>,
    at: Path,
    layer: Layer,
    room: Arc<Room>,
}

#[async_trait]
impl MultipartUpload for OverlayUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        if let Err(error) = self.room.take(data.content_length()) {
            return Box::pin(async move { Err(error) });
        }
        self.upper.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let done = self.upper.complete().await?;
        self.layer.wrote(&self.at);
        Ok(done)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upper.abort().await
    }
}
