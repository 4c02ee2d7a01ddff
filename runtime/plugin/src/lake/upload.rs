//! An object that is being written, part by part.

use super::error::StoreError;
use super::parts::Parts;
use super::store::{Objects, store_error};
use super::uri::ObjectUri;
use bytes::Bytes;
use object_store::{MultipartUpload, PutPayload, WriteMultipart};
use std::fmt;
use tokio::sync::OwnedSemaphorePermit;

/// The store's side of an upload. Dropping it removes what was written.
pub(crate) type Part = Box<dyn MultipartUpload>;

/// Bytes of a part in a bucket: the least that S3 takes, but for the last. Also what is held in
/// memory of an upload that is not sent yet. 10,000 parts make 50 GB, more than any data file.
const PART_BYTES: usize = 5 * 1024 * 1024;
/// Parts of one upload on their way at once: enough to fill a line, few enough for memory.
const PARTS_UNDER_WAY_MAX: usize = 2;

/// An object under way. It appears with [`Upload::finish`]; dropped before, it never was.
pub struct Upload {
    objects: Objects,
    uri: ObjectUri,
    state: State,
    bytes: u64,
    /// Given back when the upload is dropped: open files are bounded.
    _permit: OwnedSemaphorePermit,
}

enum State {
    Open(Writing),
    Finished,
    /// Broken off, with the reason. Part of what was passed may be written and part not, so
    /// there is no going on.
    Failed(StoreError),
}

/// How an object gets to its store.
enum Writing {
    /// Each chunk is written as it comes.
    Disk(Part),
    /// Less than a part so far: most objects are, and take a single request.
    Small(Vec<Bytes>),
    /// In [`Parts`], which are removed when this is dropped unfinished.
    Parts(WriteMultipart),
}

impl Writing {
    async fn begin(objects: &Objects, uri: &ObjectUri) -> Result<Self, StoreError> {
        Ok(match objects {
            Objects::Disk(_) | Objects::Overlay(_) => Self::Disk(objects.create(uri).await?),
            Objects::Buckets(_) => Self::Small(Vec::new()),
        })
    }

    /// `bytes` are what was written before.
    async fn write(
        self,
        objects: &Objects,
        uri: &ObjectUri,
        chunk: Bytes,
        bytes: u64,
    ) -> Result<Self, StoreError> {
        let failed = |e: object_store::Error| store_error(uri, &e);
        match self {
            Self::Disk(mut part) => {
                part.put_part(PutPayload::from(chunk))
                    .await
                    .map_err(failed)?;
                Ok(Self::Disk(part))
            }
            Self::Small(mut chunks) => {
                let length = bytes + chunk.len() as u64;
                chunks.push(chunk);
                if length < PART_BYTES as u64 {
                    return Ok(Self::Small(chunks));
                }
                let part = Parts::new(uri.clone(), objects.create(uri).await?);
                let mut parts = WriteMultipart::new_with_chunk_size(Box::new(part), PART_BYTES);
                chunks.into_iter().for_each(|chunk| parts.put(chunk));
                Ok(Self::Parts(parts))
            }
            Self::Parts(mut parts) => {
                let room = parts.wait_for_capacity(PARTS_UNDER_WAY_MAX).await;
                room.map_err(|e| match failed(e) {
                    StoreError::Missing => is_gone(uri),
                    other => other,
                })?;
                parts.put(chunk);
                Ok(Self::Parts(parts))
            }
        }
    }

    /// `bytes` are all that were written.
    async fn finish(
        self,
        objects: &Objects,
        uri: &ObjectUri,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let failed = |e: object_store::Error| store_error(uri, &e);
        match self {
            Self::Disk(mut part) => part.complete().await.map(drop).map_err(failed),
            Self::Small(chunks) => objects.put(uri, chunks.concat()).await,
            // It aborts by itself where it fails.
            Self::Parts(parts) => match parts.finish().await.map_err(failed) {
                Ok(_) => Ok(()),
                Err(StoreError::Missing) => is_whole(objects, uri, bytes).await,
                Err(error) => Err(error),
            },
        }
    }
}

/// After a store said that it knows no such upload. That is also what it says of one which it has
/// made whole, when the answer was lost and the client asks again, or gives up: then the object is
/// there, and has all its bytes.
async fn is_whole(objects: &Objects, uri: &ObjectUri, bytes: u64) -> Result<(), StoreError> {
    match objects.head(uri).await? {
        Some(entry) if entry.bytes == bytes => Ok(()),
        Some(_) | None => Err(is_gone(uri)),
    }
}

/// No object is missing: another upload may well succeed.
fn is_gone(uri: &ObjectUri) -> StoreError {
    StoreError::Transient(format!("{uri}: the upload is gone"))
}

impl Upload {
    pub(crate) async fn begin(
        objects: &Objects,
        uri: ObjectUri,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, StoreError> {
        let writing = Writing::begin(objects, &uri).await?;
        Ok(Self {
            objects: objects.clone(),
            uri,
            state: State::Open(writing),
            bytes: 0,
            _permit: permit,
        })
    }

    /// Appends a chunk.
    ///
    /// # Errors
    /// The chunk is too large, which changes nothing; or it could not be written, which ends the
    /// upload.
    pub async fn write(&mut self, chunk: Vec<u8>) -> Result<(), StoreError> {
        if chunk.len() > super::STORE_CHUNK_BYTES_MAX {
            return Err(StoreError::TooLarge(chunk.len() as u64));
        }
        let writing = self.take()?;
        let length = chunk.len() as u64;
        let written = writing
            .write(&self.objects, &self.uri, Bytes::from(chunk), self.bytes)
            .await;
        self.state = State::Open(written.map_err(|e| self.failed(e))?);
        self.bytes += length;
        Ok(())
    }

    /// Makes the object whole and tells its size. May be repeated.
    ///
    /// # Errors
    /// It could not be finished, now or by an earlier call.
    pub async fn finish(&mut self) -> Result<u64, StoreError> {
        if matches!(self.state, State::Finished) {
            return Ok(self.bytes);
        }
        let writing = self.take()?;
        let finished = writing.finish(&self.objects, &self.uri, self.bytes);
        let finished = finished.await;
        finished.map_err(|e| self.failed(e))?;
        self.state = State::Finished;
        Ok(self.bytes)
    }

    /// Until it is put back the upload counts as broken off: a call that is dropped half way
    /// leaves it so, with a chunk that may be there or not.
    fn take(&mut self) -> Result<Writing, StoreError> {
        let broken_off = || StoreError::Other(format!("the upload of {} was broken off", self.uri));
        match std::mem::replace(&mut self.state, State::Failed(broken_off())) {
            State::Open(writing) => Ok(writing),
            State::Finished => {
                self.state = State::Finished;
                Err(StoreError::Other(format!("{} is finished", self.uri)))
            }
            State::Failed(error) => {
                self.state = State::Failed(error.clone());
                Err(error)
            }
        }
    }

    fn failed(&mut self, error: StoreError) -> StoreError {
        self.state = State::Failed(error.clone());
        error
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("uri", &self.uri)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
