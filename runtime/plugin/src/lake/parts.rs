//! The parts of an object that is written to a bucket, until it is whole.
//!
//! Parts that nobody will finish cost room until a life-cycle rule takes them. So whoever lets go
//! of an upload before its end, also by giving up a call half way, has them removed.
//!
//! A store that has made an object whole knows its upload no more. So of all that is asked here
//! `NotFound` is passed on from completing alone, and from aborting after it: elsewhere it means
//! that the upload is gone.

use super::upload::Part;
use super::uri::ObjectUri;
use async_trait::async_trait;
use futures::TryFutureExt;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use std::time::Duration;

/// Longest that the parts of a broken off upload are tried to be removed. It holds up nobody, and
/// is twice what the store's client tries for; after that a life-cycle rule takes them.
const ABORT_MAX: Duration = Duration::from_secs(60);
/// What is said of an upload that the store knows no more.
pub(super) const GONE: &str = "the upload is gone";

/// An upload in parts that is aborted when it is dropped before its end.
#[derive(Debug)]
pub(super) struct Parts {
    uri: ObjectUri,
    /// None: it has come to an end.
    part: Option<Part>,
    /// The store was asked to make it whole.
    is_completing: bool,
}

impl Parts {
    pub(super) fn new(uri: ObjectUri, part: Part) -> Self {
        Self {
            uri,
            part: Some(part),
            is_completing: false,
        }
    }

    fn part(&mut self) -> Result<&mut Part> {
        self.part
            .as_mut()
            .ok_or_else(|| object_store::Error::Generic {
                store: "parts",
                source: "the upload has come to an end".into(),
            })
    }
}

#[async_trait]
impl MultipartUpload for Parts {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match self.part() {
            Ok(part) => Box::pin(part.put_part(data).map_err(refused)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.is_completing = true;
        let whole = self.part()?.complete().await?;
        self.part = None;
        Ok(whole)
    }

    async fn abort(&mut self) -> Result<()> {
        let aborted = self.part()?.abort().await;
        self.part = None;
        match aborted {
            // Nothing is left to be removed.
            Err(object_store::Error::NotFound { .. }) if !self.is_completing => Ok(()),
            other => other,
        }
    }
}

/// No object is missing where a part is refused: another upload may well succeed.
fn refused(error: object_store::Error) -> object_store::Error {
    match error {
        object_store::Error::NotFound { .. } => object_store::Error::Generic {
            store: "parts",
            source: GONE.into(),
        },
        other => other,
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        let Some(part) = self.part.take() else {
            return;
        };
        // A process that ends first leaves them.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(abort(self.uri.clone(), part));
        }
    }
}

async fn abort(uri: ObjectUri, mut part: Part) {
    match tokio::time::timeout(ABORT_MAX, part.abort()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(%uri, %error, "the parts of a broken off upload stay");
        }
        Err(_) => {
            tracing::debug!(%uri, "the parts of a broken off upload stay: the store is silent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Counts how often it is aborted; completing takes for ever where it is silent.
    #[derive(Debug)]
    struct Counted {
        aborted: Arc<AtomicU32>,
        silent: bool,
    }

    /// An upload that its store knows no more.
    #[derive(Debug)]
    struct Unknown;

    fn not_found() -> object_store::Error {
        object_store::Error::NotFound {
            path: "t/x".to_owned(),
            source: "no such upload".into(),
        }
    }

    #[async_trait]
    impl MultipartUpload for Unknown {
        fn put_part(&mut self, _data: PutPayload) -> UploadPart {
            Box::pin(std::future::ready(Err(not_found())))
        }

        async fn complete(&mut self) -> Result<PutResult> {
            Err(not_found())
        }

        async fn abort(&mut self) -> Result<()> {
            Err(not_found())
        }
    }

    #[async_trait]
    impl MultipartUpload for Counted {
        fn put_part(&mut self, _data: PutPayload) -> UploadPart {
            Box::pin(std::future::ready(Ok(())))
        }

        async fn complete(&mut self) -> Result<PutResult> {
            if self.silent {
                std::future::pending::<()>().await;
            }
            Ok(PutResult {
                e_tag: None,
                version: None,
                extensions: Default::default(),
            })
        }

        async fn abort(&mut self) -> Result<()> {
            self.aborted.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    fn parts(silent: bool) -> (Parts, Arc<AtomicU32>) {
        let aborted = Arc::new(AtomicU32::new(0));
        let counted = Counted {
            aborted: Arc::clone(&aborted),
            silent,
        };
        let uri = ObjectUri::parse("s3://lake/t/x").unwrap();
        (Parts::new(uri, Box::new(counted)), aborted)
    }

    /// How often, once all that was spawned is done: who is spawned owns a share of the count.
    async fn in_the_end(aborted: Arc<AtomicU32>) -> u32 {
        while Arc::strong_count(&aborted) > 1 {
            tokio::task::yield_now().await;
        }
        aborted.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn what_is_dropped_before_its_end_is_aborted_once() {
        let (begun, aborted) = parts(false);
        drop(begun);
        assert_eq!(in_the_end(aborted).await, 1);

        let (mut finishing, aborted) = parts(true);
        assert!(futures::poll!(finishing.complete()).is_pending());
        drop(finishing);
        assert_eq!(in_the_end(aborted).await, 1);

        let (mut given_up, aborted) = parts(false);
        given_up.abort().await.unwrap();
        drop(given_up);
        assert_eq!(in_the_end(aborted).await, 1);

        let (mut whole, aborted) = parts(false);
        whole.complete().await.unwrap();
        assert!(whole.put_part(PutPayload::new()).await.is_err());
        drop(whole);
        assert_eq!(in_the_end(aborted).await, 0);
    }

    #[tokio::test]
    async fn only_what_may_be_whole_is_not_found() {
        let unknown = || {
            let uri = ObjectUri::parse("s3://lake/t/x").unwrap();
            Parts::new(uri, Box::new(Unknown))
        };
        let is_missing =
            |error: &object_store::Error| matches!(error, object_store::Error::NotFound { .. });
        let mut refused = unknown();
        let error = refused.put_part(PutPayload::new()).await.unwrap_err();
        assert!(!is_missing(&error), "{error}");
        assert!(error.to_string().contains(GONE), "{error}");
        refused.abort().await.unwrap();

        let mut completing = unknown();
        let error = completing.complete().await.unwrap_err();
        assert!(is_missing(&error), "{error}");
        let error = completing.abort().await.unwrap_err();
        assert!(is_missing(&error), "{error}");
    }
}
