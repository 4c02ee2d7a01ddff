//! The host's store, as the Iceberg library wants its storage.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::io::{
    FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage,
    StorageConfig, StorageFactory,
};
use iceberg::{Error, ErrorKind, Result};
use jackfield_sdk::sink::{STORE_CHUNK_BYTES_MAX, Store, StoreError, Upload};
use serde::{Deserialize, Serialize};

/// Objects listed in one call.
const LIST_MAX: u32 = 1000;

struct Inner {
    store: Arc<dyn Store>,
    /// The library wraps errors beyond recognition; what the host must do next is in this one.
    last_error: Mutex<Option<StoreError>>,
}

/// The host's store. Serialising it, which the library's trait asks for, loses the store: it is
/// good for this process only.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct HostStorage {
    #[serde(skip)]
    inner: Option<Arc<Inner>>,
}

impl fmt::Debug for HostStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostStorage").finish_non_exhaustive()
    }
}

impl HostStorage {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            inner: Some(Arc::new(Inner {
                store,
                last_error: Mutex::new(None),
            })),
        }
    }

    pub(crate) fn file_io(&self) -> FileIO {
        FileIOBuilder::new(Arc::new(HostStorageFactory {
            storage: self.clone(),
        }))
        .build()
    }

    /// The store's own error behind the library's last one.
    pub(crate) fn take_error(&self) -> Option<StoreError> {
        let inner = self.inner.as_ref()?;
        inner
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn call<R>(
        &self,
        path: &str,
        call: impl FnOnce(&dyn Store) -> std::result::Result<R, StoreError>,
    ) -> Result<R> {
        let inner = self.inner.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Unexpected,
                "a storage that was serialised has no store",
            )
        })?;
        inner.heard(path, call(inner.store.as_ref()))
    }

    fn size(&self, path: &str) -> Result<u64> {
        let missing = || Err(StoreError::Missing);
        self.call(path, |it| {
            it.head(path)?.map_or_else(missing, |entry| Ok(entry.bytes))
        })
    }

    fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let chunk = STORE_CHUNK_BYTES_MAX as u64;
        let length = range.end.saturating_sub(range.start);
        if length <= chunk {
            return self
                .call(path, |it| it.get(path, Some((range.start, length))))
                .map(Bytes::from);
        }
        let mut whole = BytesMut::with_capacity(usize::try_from(length).unwrap_or(0));
        let mut at = range.start;
        while at < range.end {
            let length = chunk.min(range.end - at);
            whole.extend_from_slice(&self.call(path, |it| it.get(path, Some((at, length))))?);
            at += length;
        }
        Ok(whole.freeze())
    }
}

impl Inner {
    fn heard<R>(&self, path: &str, outcome: std::result::Result<R, StoreError>) -> Result<R> {
        outcome.map_err(|error| {
            let told = Error::new(ErrorKind::Unexpected, format!("{path}: {error}"));
            *self
                .last_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(error);
            told
        })
    }
}

/// Makes [`HostStorage`]s.
#[derive(Debug, Default, Serialize, Deserialize)]
struct HostStorageFactory {
    #[serde(skip)]
    storage: HostStorage,
}

#[typetag::serde]
impl StorageFactory for HostStorageFactory {
    fn build(&self, _config: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(self.storage.clone()))
    }
}

struct Reader {
    storage: HostStorage,
    path: String,
}

#[async_trait]
impl FileRead for Reader {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.storage.read_range(&self.path, range)
    }
}

struct Writer {
    inner: Arc<Inner>,
    path: String,
    upload: Box<dyn Upload>,
}

#[async_trait]
impl FileWrite for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        for chunk in bytes.chunks(STORE_CHUNK_BYTES_MAX) {
            let outcome = self.upload.write(chunk);
            self.inner.heard(&self.path, outcome)?;
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        let outcome = self.upload.finish();
        self.inner.heard(&self.path, outcome).map(drop)
    }
}

#[async_trait]
#[typetag::serde]
impl Storage for HostStorage {
    async fn exists(&self, path: &str) -> Result<bool> {
        self.call(path, |it| it.head(path)).map(|it| it.is_some())
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        self.size(path).map(|size| FileMetadata { size })
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        let size = self.size(path)?;
        self.read_range(path, 0..size)
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        Ok(Box::new(Reader {
            storage: self.clone(),
            path: path.to_owned(),
        }))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        if bytes.len() <= STORE_CHUNK_BYTES_MAX {
            return self.call(path, |it| it.put(path, &bytes));
        }
        let mut writer = self.writer(path).await?;
        writer.write(bytes).await?;
        writer.close().await
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        let upload = self.call(path, |it| it.create(path))?;
        let inner = Arc::clone(self.inner.as_ref().expect("`call` has just used it"));
        Ok(Box::new(Writer {
            inner,
            path: path.to_owned(),
            upload,
        }))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.call(path, |it| it.delete(path))
    }

    async fn delete_prefix(&self, path: &str) -> Result<()> {
        loop {
            let entries = self.call(path, |it| it.list(path, None, LIST_MAX))?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in entries {
                self.call(&entry.uri, |it| it.delete(&entry.uri))?;
            }
        }
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> Result<()> {
        while let Some(path) = paths.next().await {
            self.delete(&path).await?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}
