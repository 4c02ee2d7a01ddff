//! An object that is being written, part by part.

use super::error::StoreError;
use super::store::{Objects, store_error};
use super::uri::ObjectUri;
use bytes::Bytes;
use object_store::{MultipartUpload, PutPayload};
use std::fmt;
use tokio::sync::OwnedSemaphorePermit;

/// The store's side of an upload. Dropping it removes what was written.
pub(crate) type Part = Box<dyn MultipartUpload>;

/// An object under way. It appears with [`Upload::finish`]; dropped before, it never was.
pub struct Upload {
    uri: ObjectUri,
    state: State,
    bytes: u64,
    /// Given back when the upload is dropped: open files are bounded.
    _permit: OwnedSemaphorePermit,
}

enum State {
    Open(Part),
    Finished,
    /// Broken off, with the reason. Part of what was passed may be written and part not, so
    /// there is no going on.
    Failed(StoreError),
}

impl Upload {
    pub(crate) async fn begin(
        objects: &Objects,
        uri: ObjectUri,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, StoreError> {
        let part = objects.create(&uri).await?;
        Ok(Self {
            uri,
            state: State::Open(part),
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
        let mut part = self.take()?;
        let length = chunk.len() as u64;
        part.put_part(PutPayload::from(Bytes::from(chunk)))
            .await
            .map_err(|e| self.failed(&e))?;
        self.bytes += length;
        self.state = State::Open(part);
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
        let mut part = self.take()?;
        part.complete().await.map_err(|e| self.failed(&e))?;
        self.state = State::Finished;
        Ok(self.bytes)
    }

    /// Until it is put back the upload counts as broken off: a call that is dropped half way
    /// leaves it so, with a chunk that may be there or not.
    fn take(&mut self) -> Result<Part, StoreError> {
        let broken_off = || StoreError::Other(format!("the upload of {} was broken off", self.uri));
        match std::mem::replace(&mut self.state, State::Failed(broken_off())) {
            State::Open(part) => Ok(part),
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

    fn failed(&mut self, error: &object_store::Error) -> StoreError {
        let error = store_error(&self.uri, error);
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
