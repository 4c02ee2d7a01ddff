//! Answers that are kept, and asked for once however many wait for them.

use crate::registry::SchemaError;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is asked for, while it is under way.
pub(super) type Asking<V> = BoxFuture<'static, Result<V, SchemaError>>;

/// How much is kept; beyond, what was used longest ago is let go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) entries_max: usize,
    pub(super) bytes_max: usize,
}

/// Kept answers by what they answer. Cheap to clone: clones share them.
pub(super) struct Kept<K, V>(Arc<Mutex<State<K, V>>>);

impl<K, V> Clone for Kept<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct State<K, V> {
    bounds: Bounds,
    /// Of one answer with what it answers.
    size: fn(&K, &V) -> usize,
    entries: HashMap<K, Entry<V>>,
    bytes: usize,
    /// Counts uses, so that the oldest is known.
    uses: u64,
    under_way: HashMap<K, WeakShared<Asking<V>>>,
}

struct Entry<V> {
    value: V,
    bytes: usize,
    used: u64,
}

enum Found<V> {
    Kept(V),
    UnderWay(Shared<Asking<V>>),
}

impl<K, V> Kept<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(bounds: Bounds, size: fn(&K, &V) -> usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            bounds,
            size,
            entries: HashMap::new(),
            bytes: 0,
            uses: 0,
            under_way: HashMap::new(),
        })))
    }

    /// The kept answer, or else the one that is asked for already, or else `ask`'s. A failure is
    /// told to all who wait, and not kept. Who is dropped while waiting leaves the others waiting.
    pub(super) async fn get_or(
        &self,
        key: K,
        ask: impl FnOnce() -> Asking<V>,
    ) -> Result<V, SchemaError> {
        let found = {
            let mut state = self.state();
            match state.kept(&key) {
                Some(value) => Found::Kept(value),
                None => Found::UnderWay(state.joined(&key, || self.keeping(key.clone(), ask()))),
            }
        };
        match found {
            Found::Kept(value) => Ok(value),
            Found::UnderWay(asking) => asking.await,
        }
    }

    pub(super) fn put(&self, key: K, value: V) {
        self.state().put(key, value);
    }

    fn keeping(&self, key: K, asking: Asking<V>) -> Asking<V> {
        let kept = self.clone();
        async move {
            let answer = asking.await;
            let mut state = kept.state();
            state.under_way.remove(&key);
            if let Ok(value) = &answer {
                state.put(key, value.clone());
            }
            answer
        }
        .boxed()
    }

    fn state(&self) -> MutexGuard<'_, State<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone, V: Clone> State<K, V> {
    fn kept(&mut self, key: &K) -> Option<V> {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.uses;
        Some(entry.value.clone())
    }

    fn joined(&mut self, key: &K, ask: impl FnOnce() -> Asking<V>) -> Shared<Asking<V>> {
        if let Some(asking) = self.under_way.get(key).and_then(WeakShared::upgrade) {
            return asking;
        }
        // Those whose waiters were all dropped leave an empty entry behind.
        self.under_way
            .retain(|_, asking| asking.upgrade().is_some());
        let asking = ask().shared();
        if let Some(weak) = asking.downgrade() {
            self.under_way.insert(key.clone(), weak);
        }
        asking
    }

    fn put(&mut self, key: K, value: V) {
        let bytes = (self.size)(&key, &value);
        self.uses += 1;
        let entry = Entry {
            value,
            bytes,
            used: self.uses,
        };
        self.bytes += bytes;
        if let Some(before) = self.entries.insert(key, entry) {
            self.bytes -= before.bytes;
        }
        while self.entries.len() > self.bounds.entries_max || self.bytes > self.bounds.bytes_max {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            if let Some(gone) = self.entries.remove(&key) {
                self.bytes -= gone.bytes;
            }
        }
    }
}
