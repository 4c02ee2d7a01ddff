//! The import `store`.

use super::unless;
use crate::bindings::sink::jackfield::connector::store as wit;
use crate::host_calls::OUTSIDE_CALLS;
use crate::lake::{Entry, StoreError, Upload};
use crate::state::State;
use wasmtime::component::Resource;

/// An outcome for the guest inside; outside, what only a broken host or guest can cause.
type Answer<T> = wasmtime::Result<Result<T, wit::Error>>;

impl State {
    fn stored<T>(&self, outcome: Result<T, StoreError>) -> Result<T, wit::Error> {
        if matches!(outcome, Err(StoreError::Denied(_))) {
            self.usage.denied();
        }
        outcome.map_err(into_error)
    }
}

impl wit::Host for State {
    async fn create(&mut self, uri: String) -> Answer<Resource<Upload>> {
        let lake = match self.lake() {
            Ok((lake, _)) => lake,
            Err(why) => return Ok(Err(wit::Error::Denied(why))),
        };
        let begun = self.patience.with(lake.create(&uri)).await;
        match self.stored(begun) {
            Ok(upload) => Ok(Ok(self.table.push(upload)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn put(&mut self, uri: String, bytes: Vec<u8>) -> Answer<()> {
        let lake = match self.lake() {
            Ok((lake, _)) => lake,
            Err(why) => return Ok(Err(wit::Error::Denied(why))),
        };
        let done = self.patience.with(lake.put(&uri, bytes)).await;
        Ok(self.stored(done))
    }

    async fn get(&mut self, uri: String, range: Option<(u64, u64)>) -> Answer<Vec<u8>> {
        let (lake, interrupt) = match self.lake() {
            Ok(given) => given,
            Err(why) => return Ok(Err(wit::Error::Denied(why))),
        };
        let getting = self.patience.with(lake.get(&uri, range));
        let got = unless(&interrupt, getting).await;
        Ok(self.stored(got.unwrap_or(Err(StoreError::Interrupted))))
    }

    async fn head(&mut self, uri: String) -> Answer<Option<wit::Entry>> {
        let (lake, interrupt) = match self.lake() {
            Ok(given) => given,
            Err(why) => return Ok(Err(wit::Error::Denied(why))),
        };
        let looking = self.patience.with(lake.head(&uri));
        let found = unless(&interrupt, looking).await;
        let found = self.stored(found.unwrap_or(Err(StoreError::Interrupted)));
        Ok(found.map(|entry| entry.map(into_entry)))
    }

    async fn delete(&mut self, uri: String) -> Answer<()> {
        let lake = match self.lake() {
            Ok((lake, _)) => lake,
            Err(why) => return Ok(Err(wit::Error::Denied(why))),
        };
        let done = self.patience.with(lake.delete(&uri)).await;
        Ok(self.stored(done))
    }

    async fn list(
        &mut self,
        prefix: String,
        after: Option<String>,
        max: u32,
    ) -> Answer<Vec<wit::Entry>> {
        let (lake, interrupt) = match self.lake() {
            Ok(given) => given,
            Err(why) => return Ok(Err(wit::Error::Denied(why))),
        };
        let listing = self
            .patience
            .with(lake.list(&prefix, after.as_deref(), max));
        let found = unless(&interrupt, listing).await;
        let found = self.stored(found.unwrap_or(Err(StoreError::Interrupted)));
        Ok(found.map(|entries| entries.into_iter().map(into_entry).collect()))
    }
}

impl wit::HostUpload for State {
    async fn write(&mut self, upload: Resource<Upload>, chunk: Vec<u8>) -> Answer<()> {
        self.called(OUTSIDE_CALLS);
        let writing = self.table.get_mut(&upload)?.write(chunk);
        let written = self.patience.with(writing).await;
        Ok(written.map_err(into_error))
    }

    async fn finish(&mut self, upload: Resource<Upload>) -> Answer<u64> {
        self.called(OUTSIDE_CALLS);
        let finishing = self.table.get_mut(&upload)?.finish();
        let finished = self.patience.with(finishing).await;
        Ok(finished.map_err(into_error))
    }

    /// Dropped unfinished, it is aborted; so are those that a dead instance's table still holds.
    async fn drop(&mut self, upload: Resource<Upload>) -> wasmtime::Result<()> {
        self.table.delete(upload)?;
        Ok(())
    }
}

fn into_entry(entry: Entry) -> wit::Entry {
    wit::Entry {
        uri: entry.uri,
        bytes: entry.bytes,
        modified_ms: entry.modified_ms,
    }
}

fn into_error(error: StoreError) -> wit::Error {
    match error {
        StoreError::Denied(why) => wit::Error::Denied(why),
        StoreError::Missing => wit::Error::Missing,
        StoreError::TooLarge(bytes) => wit::Error::TooLarge(bytes),
        StoreError::Transient(why) => wit::Error::Transient(why),
        StoreError::Interrupted => wit::Error::Interrupted,
        StoreError::Other(why) => wit::Error::Other(why),
    }
}
