//! Objects with the host's own rights. What a plugin may touch is checked before.
//!
//! An object appears whole or not at all, and is on stable storage when a call returns: a catalog
//! commit must never point at what a power cut can take away. On local disk that is a staging
//! file, fsync, rename, and fsync of the folder. A kill in between leaves a staging file
//! `name#1`, which no listing shows and no table names. In a bucket it is one request, or a
//! multipart upload that a kill leaves unfinished: invisible, and the bucket's life-cycle rule
//! removes it.

use super::buckets::Buckets;
use super::error::StoreError;
use super::overlay::Overlay;
use super::upload::Part;
use super::uri::{ObjectUri, Root};
use bytes::Bytes;
use futures::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its absolute URI.
    pub uri: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written, ms since the epoch.
    pub modified_ms: u64,
}

impl Entry {
    fn of(beside: &ObjectUri, meta: ObjectMeta) -> Self {
        Self {
            bytes: meta.size,
            modified_ms: u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0),
            uri: beside.sibling(meta.location).to_string(),
        }
    }
}

/// The object store of a lake. Cheap to clone.
///
/// Stores on the network have their retries below this type, so that an error it returns is
/// worth the caller's attention.
#[derive(Debug, Clone)]
pub(crate) enum Objects {
    Disk(Arc<dyn ObjectStore>),
    Buckets(Arc<Buckets>),
    /// Of either kind, and what is written is thrown away.
    Overlay(Arc<Overlay>),
}

impl Objects {
    /// This machine's file system.
    pub(crate) fn local() -> Self {
        Self::over(Arc::new(LocalFileSystem::new().with_fsync(true)))
    }

    /// A store that takes the place of this machine's file system.
    pub(crate) fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self::Disk(store)
    }

    /// The store of a place. A lake in buckets has no files of this machine, whatever its
    /// catalog says, and the other way round.
    pub(crate) async fn of(&self, uri: &ObjectUri) -> Result<Arc<dyn ObjectStore>, StoreError> {
        match (self, uri.root()) {
            (Self::Disk(disk), Root::Disk) => Ok(Arc::clone(disk)),
            (Self::Buckets(buckets), Root::Bucket(bucket)) => buckets.of(bucket, uri),
            (Self::Overlay(overlay), _) => overlay.of(uri).await,
            (Self::Disk(_), Root::Bucket(_)) => Err(StoreError::Denied(format!(
                "{uri} is in a bucket, and this lake is on disk"
            ))),
            (Self::Buckets(_), Root::Disk) => Err(StoreError::Denied(format!(
                "{uri} is on disk, and this lake is in a bucket"
            ))),
        }
    }

    pub(crate) async fn put(&self, uri: &ObjectUri, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.of(uri)
            .await?
            .put(uri.object(), PutPayload::from(bytes))
            .await
            .map(|_| ())
            .map_err(|e| store_error(uri, &e))
    }

    /// The whole object, if it has at most so many bytes.
    pub(crate) async fn get(&self, uri: &ObjectUri, bytes_max: u64) -> Result<Bytes, StoreError> {
        let found = self
            .of(uri)
            .await?
            .get(uri.object())
            .await
            .map_err(|e| store_error(uri, &e))?;
        if found.meta.size > bytes_max {
            return Err(StoreError::TooLarge(found.meta.size));
        }
        found.bytes().await.map_err(|e| store_error(uri, &e))
    }

    /// `length` bytes from `offset`.
    pub(crate) async fn get_range(
        &self,
        uri: &ObjectUri,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, StoreError> {
        let outside = |bytes: u64| {
            StoreError::Other(format!(
                "{length} bytes from {offset} lie outside {uri}, which has {bytes}"
            ))
        };
        let end = offset.checked_add(length).ok_or_else(|| outside(0))?;
        if length == 0 {
            return Ok(Bytes::new());
        }
        let options = GetOptions::new().with_range(Some(offset..end));
        let found = match self.of(uri).await?.get_opts(uri.object(), options).await {
            Ok(found) => found,
            Err(error) => {
                // A range past the end is refused by each store in its own way.
                return Err(match self.head(uri).await? {
                    Some(entry) if entry.bytes < end => outside(entry.bytes),
                    _ => store_error(uri, &error),
                });
            }
        };
        if found.range != (offset..end) {
            return Err(outside(found.meta.size));
        }
        found.bytes().await.map_err(|e| store_error(uri, &e))
    }

    pub(crate) async fn head(&self, uri: &ObjectUri) -> Result<Option<Entry>, StoreError> {
        match self.of(uri).await?.head(uri.object()).await {
            Ok(meta) => Ok(Some(Entry::of(uri, meta))),
            Err(error) => match store_error(uri, &error) {
                StoreError::Missing => Ok(None),
                error => Err(error),
            },
        }
    }

    /// What is not there is deleted too.
    pub(crate) async fn delete(&self, uri: &ObjectUri) -> Result<(), StoreError> {
        match self.of(uri).await?.delete(uri.object()).await {
            Ok(()) => Ok(()),
            Err(error) => match store_error(uri, &error) {
                StoreError::Missing => Ok(()),
                error => Err(error),
            },
        }
    }

    /// The first `max` objects below a folder whose URIs come after `after`, in their order.
    ///
    /// A file system lists in no order, so all is looked at and the smallest are kept; a bucket
    /// lists in order.
    pub(crate) async fn list(
        &self,
        folder: &ObjectUri,
        after: Option<&ObjectUri>,
        max: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let store = self.of(folder).await?;
        let mut found = match after {
            Some(after) => store.list_with_offset(Some(folder.object()), after.object()),
            None => store.list(Some(folder.object())),
        };
        let mut first = BTreeMap::new();
        while let Some(meta) = found.next().await {
            let meta = meta.map_err(|e| store_error(folder, &e))?;
            if after.is_some_and(|after| meta.location <= *after.object()) {
                continue;
            }
            first.insert(meta.location.clone(), meta);
            if first.len() > max {
                first.pop_last();
            }
            if first.len() == max && matches!(self, Self::Buckets(_)) {
                break;
            }
        }
        let entries = first.into_values();
        Ok(entries.map(|meta| Entry::of(folder, meta)).collect())
    }

    /// Whether there is no object below a folder.
    pub(crate) async fn is_empty(&self, folder: &ObjectUri) -> Result<bool, StoreError> {
        let mut found = self.of(folder).await?.list(Some(folder.object()));
        match found.next().await {
            None => Ok(true),
            Some(Ok(_)) => Ok(false),
            Some(Err(error)) => Err(store_error(folder, &error)),
        }
    }

    /// Begins an object that is written in parts.
    pub(crate) async fn create(&self, uri: &ObjectUri) -> Result<Part, StoreError> {
        let (store, object) = (self.of(uri).await?, uri.object().clone());
        if let Self::Buckets(_) = self {
            let begun = store.put_multipart(&object).await;
            return begun.map_err(|e| store_error(uri, &e));
        }
        // The local store opens the staging file, and makes and syncs folders, without yielding.
        let runtime = tokio::runtime::Handle::current();
        let begun =
            tokio::task::spawn_blocking(move || runtime.block_on(store.put_multipart(&object)));
        begun
            .await
            .map_err(|e| StoreError::Other(format!("{uri} could not be begun: {e}")))?
            .map_err(|e| store_error(uri, &e))
    }
}

/// Names an error by what the caller must do; the text is for people and names the place.
pub(crate) fn store_error(uri: &ObjectUri, error: &object_store::Error) -> StoreError {
    if matches!(error, object_store::Error::NotFound { .. }) {
        return StoreError::Missing;
    }
    if matches!(uri.root(), Root::Bucket(_)) {
        return bucket_error(uri, error);
    }
    let mut reason: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(io) = reason.downcast_ref::<io::Error>() {
            return io_error(uri, io);
        }
        match reason.source() {
            Some(source) => reason = source,
            None => return StoreError::Other(format!("{uri}: {error}")),
        }
    }
}

/// As [`store_error`], for errors of a bucket. Its library has tried again by itself; an error
/// that it gives no name may still go away: the connector's deadline decides.
fn bucket_error(uri: &ObjectUri, error: &object_store::Error) -> StoreError {
    match error {
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => {
            StoreError::Other(format!("no permission to use {uri}: {error}"))
        }
        object_store::Error::InvalidPath { .. }
        | object_store::Error::NotSupported { .. }
        | object_store::Error::NotImplemented { .. }
        | object_store::Error::UnknownConfigurationKey { .. } => {
            StoreError::Other(format!("{uri}: {error}"))
        }
        _ => StoreError::Transient(format!("{uri}: {error}")),
    }
}

/// As [`store_error`], for errors of the file system.
pub(crate) fn io_error(uri: &ObjectUri, error: &io::Error) -> StoreError {
    let file = uri.file();
    let folder = file.parent().unwrap_or(&file).display();
    match error.kind() {
        io::ErrorKind::NotFound => StoreError::Missing,
        io::ErrorKind::StorageFull => {
            StoreError::Transient(format!("no space left on the disk of {folder}: free some"))
        }
        io::ErrorKind::QuotaExceeded => StoreError::Transient(format!(
            "the disk quota of {folder} is used up: raise it or free some space"
        )),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::Other(format!("no permission to use {folder}: {error}"))
        }
        io::ErrorKind::TimedOut
        | io::ErrorKind::Interrupted
        | io::ErrorKind::WouldBlock
        | io::ErrorKind::ResourceBusy
        | io::ErrorKind::StaleNetworkFileHandle => StoreError::Transient(format!("{uri}: {error}")),
        _ if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => StoreError::Transient(
            format!("{uri}: too many files are open in this process or machine"),
        ),
        _ => StoreError::Other(format!("{uri}: {error}")),
    }
}

/// Linux's numbers for which the standard library has no stable name.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
