//! An object that is being written, part by part.

use super::error::StoreError;
use super::parts::{GONE, Parts};
use super::store::{Entry, Objects, store_error};
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
    Parts(WriteMultipart, Before),
}

/// What was in the place of an object when its upload began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// An object written then, ms since the epoch.
    Object(u64),
    /// Who may write need not be let look.
    Unknown,
}

impl Before {
    async fn find(objects: &Objects, uri: &ObjectUri) -> Result<Self, StoreError> {
        match objects.head(uri).await {
            Ok(None) => Ok(Self::Nothing),
            Ok(Some(entry)) => Ok(Self::Object(entry.modified_ms)),
            Err(
                StoreError::Denied(_)
                | StoreError::Missing
                | StoreError::TooLarge(_)
                | StoreError::Other(_),
            ) => Ok(Self::Unknown),
            Err(error @ (StoreError::Transient(_) | StoreError::Interrupted)) => Err(error),
        }
    }

    /// Whether the object that is there now was written since. Of two within a tick of the store's
    /// clock nobody can tell, and then it is not said.
    fn is_replaced_by(self, now: &Entry) -> bool {
        match self {
            Self::Nothing => true,
            Self::Object(modified_ms) => now.modified_ms != modified_ms,
            Self::Unknown => false,
        }
    }
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
                let before = Before::find(objects, uri).await?;
                let part = Parts::new(uri.clone(), objects.create(uri).await?);
                let mut parts = WriteMultipart::new_with_chunk_size(Box::new(part), PART_BYTES);
                chunks.into_iter().for_each(|chunk| parts.put(chunk));
                Ok(Self::Parts(parts, before))
            }
            Self::Parts(mut parts, before) => {
                let room = parts.wait_for_capacity(PARTS_UNDER_WAY_MAX).await;
                room.map_err(failed)?;
                parts.put(chunk);
                Ok(Self::Parts(parts, before))
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
            // It aborts by itself where it fails. Parts miss nothing: then it was being made whole.
            Self::Parts(parts, before) => match parts.finish().await.map_err(failed) {
                Ok(_) => Ok(()),
                Err(StoreError::Missing) => is_whole(objects, uri, bytes, before).await,
                Err(error) => Err(error),
            },
        }
    }
}

/// After a store said that it knows no such upload. That is also what it says of one which it has
/// made whole, when the answer was lost and the client asks again, or gives up: then the object is
/// there, is another one than before, and has all its bytes.
async fn is_whole(
    objects: &Objects,
    uri: &ObjectUri,
    bytes: u64,
    before: Before,
) -> Result<(), StoreError> {
    // No object is missing: another upload may well succeed.
    let gone = || StoreError::Transient(format!("{uri}: {GONE}"));
    if before == Before::Unknown {
        return Err(gone());
    }
    match objects.head(uri).await? {
        Some(entry) if entry.bytes == bytes && before.is_replaced_by(&entry) => Ok(()),
        Some(_) | None => Err(gone()),
    }
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
