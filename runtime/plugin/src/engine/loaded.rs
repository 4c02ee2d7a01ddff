//! Plugins in use, by digest: the same one is compiled once, different ones beside each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Semaphore;

/// How many are made beside each other: each holds its whole file and what the compiler makes of
/// it, and requests can bring different ones.
const BESIDE_MAX: usize = 4;

/// Locked while what belongs there is made: whoever wants the same waits, and finds it.
type Cell<T> = Arc<tokio::sync::Mutex<Weak<T>>>;

/// What was made by its digest, for as long as somebody uses it.
pub(super) struct Loaded<T> {
    cells: Mutex<HashMap<String, Cell<T>>>,
    turns: Semaphore,
}

impl<T> Default for Loaded<T> {
    fn default() -> Self {
        Self {
            cells: Mutex::default(),
            turns: Semaphore::new(BESIDE_MAX),
        }
    }
}

impl<T> Loaded<T> {
    /// What has this digest; made unless somebody uses it. What could not be made is tried again by
    /// the next who wants it.
    pub(super) async fn get_or_make<E>(
        &self,
        digest: &str,
        make: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<T>, E> {
        let cell = self.cell(digest);
        let mut place = cell.lock().await;
        if let Some(known) = place.upgrade() {
            return Ok(known);
        }
        let turn = self.turns.acquire().await;
        let _turn = turn.expect("the semaphore is never closed");
        let made = Arc::new(make.await?);
        *place = Arc::downgrade(&made);
        Ok(made)
    }

    fn cell(&self, digest: &str) -> Cell<T> {
        // Every change leaves the map consistent, also in a panic.
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.retain(|_, cell| is_wanted(cell));
        Arc::clone(cells.entry(digest.to_owned()).or_default())
    }
}

/// Whether somebody uses what is there, or is about to. A cell is taken out of the map under its
/// lock only, so one that nobody has is not locked either.
fn is_wanted<T>(cell: &Cell<T>) -> bool {
    let in_use = || cell.try_lock().is_ok_and(|it| it.strong_count() > 0);
    Arc::strong_count(cell) > 1 || in_use()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;
    use tokio::task::yield_now;
    use tokio::time::timeout;

    /// Of a clock that stands still while anything can be done: whoever waits so long is stuck.
    const STUCK_AFTER: Duration = Duration::from_secs(60);

    fn never() -> impl Future<Output = Result<u32, ()>> {
        pending()
    }

    fn at_once() -> impl Future<Output = Result<u32, ()>> {
        ready(Ok(7))
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_another_one_does_not_wait_for_one_that_is_being_made() {
        let loaded = Loaded::default();
        let mut slow = pin!(loaded.get_or_make("slow", never()));
        tokio::select! {
            biased;
            _ = &mut slow => unreachable!("it is never made"),
            other = timeout(STUCK_AFTER, loaded.get_or_make("other", at_once())) => {
                assert_eq!(other, Ok(Ok(Arc::new(7))));
            }
        }
    }

    #[tokio::test]
    async fn the_same_is_made_once_for_as_long_as_it_is_used() {
        let (loaded, made) = (Loaded::default(), AtomicU32::new(0));
        let make = || async {
            made.fetch_add(1, Ordering::Relaxed);
            // The other one comes meanwhile.
            yield_now().await;
            Ok::<u32, ()>(7)
        };
        let (one, other) = tokio::join!(
            loaded.get_or_make("same", make()),
            loaded.get_or_make("same", make())
        );
        assert!(Arc::ptr_eq(&one.unwrap(), other.as_ref().unwrap()));
        let again = loaded.get_or_make("same", make()).await;
        assert_eq!(made.load(Ordering::Relaxed), 1);
        drop((other, again));
        loaded.get_or_make("same", make()).await.unwrap();
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn what_nobody_uses_is_forgotten() {
        let loaded = Loaded::default();
        let used = loaded.get_or_make("used", at_once()).await;
        for number in 0..10 {
            let made = loaded.get_or_make(&number.to_string(), at_once()).await;
            drop(made);
        }
        loaded.get_or_make("last", at_once()).await.unwrap();
        let mut left: Vec<String> = loaded.cells.lock().unwrap().keys().cloned().collect();
        left.sort();
        assert_eq!(left, ["last", "used"]);
        drop(used);
    }

    #[tokio::test]
    async fn what_could_not_be_made_is_tried_again() {
        let loaded = Loaded::default();
        let failed = loaded.get_or_make("one", ready(Err::<u32, _>("as told")));
        assert_eq!(failed.await, Err("as told"));
        let made = loaded.get_or_make("one", at_once()).await;
        assert_eq!(made, Ok(Arc::new(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_made_beside_each_other_than_may_be() {
        let loaded = Loaded::default();
        let names: Vec<String> = (0..BESIDE_MAX).map(|number| number.to_string()).collect();
        let all = names.iter().map(|name| loaded.get_or_make(name, never()));
        let mut all = Box::pin(join_all(all));
        tokio::select! {
            biased;
            _ = &mut all => unreachable!("none is ever made"),
            more = timeout(STUCK_AFTER, loaded.get_or_make("more", at_once())) => {
                assert!(more.is_err(), "it waits for its turn");
            }
        }
        drop(all);
        assert!(loaded.get_or_make("more", at_once()).await.is_ok());
    }
}
