//! Fakes that fail on demand.

use super::super::error::CatalogError;
use super::super::ident::Ident;
use super::super::rows::Rows;
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A store in memory whose disk can be full.
#[derive(Debug)]
pub(super) struct FullStore {
    inner: InMemory,
    full: Arc<AtomicBool>,
}

impl FullStore {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            full: Arc::default(),
        })
    }

    pub(super) fn fill(&self) {
        self.full.store(true, Ordering::SeqCst);
    }

    pub(super) fn free(&self) {
        self.full.store(false, Ordering::SeqCst);
    }
}

fn space(full: &AtomicBool) -> Result<()> {
    if !full.load(Ordering::SeqCst) {
        return Ok(());
    }
    // As the local store reports it: wrapped.
    Err(object_store::Error::Generic {
        store: "LocalFileSystem",
        source: Box::new(io::Error::from_raw_os_error(28)),
    })
}

impl fmt::Display for FullStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FullStore")
    }
}

#[async_trait]
impl ObjectStore for FullStore {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        space(&self.full)?;
        self.inner.put_opts(at, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(FullUpload {
            inner: self.inner.put_multipart_opts(at, how).await?,
            full: Arc::clone(&self.full),
        }))
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        all: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(all)
    }

    fn list(&self, below: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(below)
    }

    async fn list_with_delimiter(&self, below: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(below).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}

#[derive(Debug)]
struct FullUpload {
    inner: Box<dyn MultipartUpload>,
    full: Arc<AtomicBool>,
}

#[async_trait]
impl MultipartUpload for FullUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        if let Err(error) = space(&self.full) {
            return Box::pin(async move { Err(error) });
        }
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        space(&self.full)?;
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

/// A catalog without a table.
#[derive(Debug)]
pub(super) struct NoRows;

#[async_trait]
impl Rows for NoRows {
    async fn ready(&self) -> std::result::Result<(), CatalogError> {
        Ok(())
    }

    async fn location(&self, _: &Ident) -> std::result::Result<Option<String>, CatalogError> {
        Ok(None)
    }

    async fn insert(&self, _: &Ident, _: &str) -> std::result::Result<(), CatalogError> {
        Err(CatalogError::Other("none can be added".to_owned()))
    }

    async fn replace(&self, _: &Ident, _: &str, _: &str) -> std::result::Result<(), CatalogError> {
        Err(CatalogError::Conflict("there is none".to_owned()))
    }
}

/// What becomes of the next changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Done, and the answer lost.
    DoneUnheard,
    /// Lost on the way, which looks the same.
    LostUnheard,
    /// Refused as busy.
    Busy,
    /// The process dies before the change is sent.
    Never,
}

/// Rows whose changes meet a fate.
#[derive(Debug)]
pub(super) struct Fated<R> {
    pub(super) rows: R,
    pub(super) fate: Fate,
}

impl<R: Rows> Fated<R> {
    async fn change<T: Send>(
        &self,
        change: impl Future<Output = std::result::Result<T, CatalogError>> + Send,
    ) -> std::result::Result<T, CatalogError> {
        let lost = || Err(CatalogError::Unknown("the connection broke".to_owned()));
        match self.fate {
            Fate::DoneUnheard => {
                change.await?;
                lost()
            }
            Fate::LostUnheard => lost(),
            Fate::Busy => Err(CatalogError::Transient("busy".to_owned())),
            Fate::Never => std::future::pending().await,
        }
    }
}

#[async_trait]
impl<R: Rows> Rows for Fated<R> {
    async fn ready(&self) -> std::result::Result<(), CatalogError> {
        self.rows.ready().await
    }

    async fn location(&self, ident: &Ident) -> std::result::Result<Option<String>, CatalogError> {
        self.rows.location(ident).await
    }

    async fn insert(&self, ident: &Ident, at: &str) -> std::result::Result<(), CatalogError> {
        self.change(self.rows.insert(ident, at)).await
    }

    async fn replace(
        &self,
        ident: &Ident,
        expected: &str,
        next: &str,
    ) -> std::result::Result<(), CatalogError> {
        self.change(self.rows.replace(ident, expected, next)).await
    }
}
