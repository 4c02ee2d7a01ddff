//! Connectors that are being ended. One that is stuck takes as long as it may drain, and nobody who
//! changes another one waits for that.

use super::Herd;
use crate::declared::Declared;
use crate::wiring::Spec;
use jackfield_pipeline::Unchanged;
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{MutexGuard, watch};
use tokio_util::task::TaskTracker;

/// Longest from the end of the grace time until what did not keep to it is ended.
const KILLED_WITHIN: Duration = Duration::from_secs(1);

/// Those that are being ended.
#[derive(Default)]
pub(super) struct Endings {
    names: watch::Sender<BTreeSet<String>>,
    /// What ends them where nobody waits for it.
    tasks: TaskTracker,
}

/// One that is being ended, until this is dropped.
pub(super) struct Ending {
    name: String,
    all: watch::Sender<BTreeSet<String>>,
}

impl Endings {
    /// From now on this one is being ended. Called while nobody else changes anything.
    pub(super) fn begin(&self, name: &str) -> Ending {
        self.names.send_modify(|all| {
            all.insert(name.to_owned());
        });
        Ending {
            name: name.to_owned(),
            all: self.names.clone(),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.borrow().contains(name)
    }

    /// Changes one by a task of its own. That it broke is said here; [`all_over`](Self::all_over)
    /// waits for it.
    pub(super) fn spawn(
        &self,
        runtime: &Handle,
        connector: &str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let connector = connector.to_owned();
        let task = runtime.spawn(task);
        let watched = async move {
            if let Err(error) = task.await
                && error.is_panic()
            {
                tracing::error!(%connector, %error, "what was asked for over REST broke: restart the process, which tries again");
            }
        };
        self.tasks.spawn_on(watched, runtime);
    }

    /// Waits until nothing is being ended any more. All of them began before this, and may drain
    /// for `grace`. The process is about to end: nothing more is spawned.
    pub(super) async fn all_over(&self, grace: Duration) {
        self.tasks.close();
        let over = async {
            self.tasks.wait().await;
            let mut all = self.names.subscribe();
            // Where nobody is left who could end anything, it is over too.
            drop(all.wait_for(|all| all.is_empty()).await);
        };
        let in_time = tokio::time::timeout(grace + KILLED_WITHIN, over).await;
        if in_time.is_err() {
            let connectors = self.names.borrow().clone();
            tracing::error!(
                ?connectors,
                "cut off: the grace time ended before they had ended"
            );
        }
    }

    async fn over(&self, name: &str) {
        let mut all = self.names.subscribe();
        let over = all.wait_for(|all| !all.contains(name)).await;
        // Where nobody is left who could end anything, it is over too.
        drop(over);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.all.send_modify(|all| {
            all.remove(&self.name);
        });
    }
}

impl Herd {
    /// The turn to change this connector, once it is not being ended any more.
    pub(super) async fn turn(&self, connector: &str) -> MutexGuard<'_, ()> {
        loop {
            self.endings.over(connector).await;
            let turn = self.changing.lock().await;
            if !self.endings.has(connector) {
                return turn;
            }
        }
    }

    /// Ends what runs, and starts what is to run instead of it. Others have their turns meanwhile.
    pub(super) async fn change_over(
        &self,
        ending: Ending,
        declared: Declared,
        spec: Spec,
    ) -> Result<(), Unchanged> {
        let connector = declared.connector().to_owned();
        self.loader.remove_made(&connector).await;
        let _turn = self.changing.lock().await;
        drop(ending);
        if !self.made().contains_key(&connector) {
            return Err(Unchanged::Unknown(connector));
        }
        let target = self.target_of(&connector);
        self.loader.add_made(declared, spec, target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_telemetry::logging::{self, Format};
    use std::io::{self, Write};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use tokio::time::{Instant, sleep};

    #[tokio::test]
    async fn who_waits_for_one_waits_for_no_other() {
        let endings = Endings::default();
        let (one, other) = (endings.begin("one"), endings.begin("other"));
        assert!(endings.has("one") && !endings.has("third"));
        endings.over("third").await;
        drop(one);
        endings.over("one").await;
        assert!(endings.has("other"));
        drop(other);
        endings.over("other").await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_process_waits_for_what_is_being_ended() {
        const GRACE: Duration = Duration::from_secs(30);
        let endings = Endings::default();
        let begun = Instant::now();
        let (of_task, of_request) = (endings.begin("by a task"), endings.begin("by a request"));
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        endings.spawn(&Handle::current(), "by a task", async move {
            sleep(GRACE / 2).await;
            drop(of_task);
            sleep(GRACE / 4).await;
            told.store(true, Ordering::Release);
        });
        endings.all_over(GRACE / 8).await;
        assert!(begun.elapsed() < GRACE / 2, "not for ever");
        assert!(!ended.load(Ordering::Acquire));

        let requested = tokio::spawn(async move {
            sleep(GRACE * 7 / 8).await;
            drop(of_request);
        });
        endings.all_over(GRACE * 2).await;
        assert!(ended.load(Ordering::Acquire) && !endings.has("by a request"));
        requested.await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_broke_is_told_of() {
        let lines = Lines::default();
        let dispatch = logging::dispatch(Format::Text, "info", lines.clone()).unwrap();
        let _heard = tracing::dispatcher::set_default(&dispatch);
        let endings = Endings::default();
        let ending = endings.begin("one");
        endings.spawn(&Handle::current(), "one", async move {
            let _ending = ending;
            panic!("as the test wants it");
        });
        endings.all_over(Duration::from_secs(600)).await;
        assert!(!endings.has("one"), "another one may have its name");
        assert!(logging::flush(Duration::from_secs(60)));
        let told = lines.text();
        assert!(told.contains("connector=one"), "{told}");
        assert!(told.contains("as the test wants it"), "{told}");
    }

    /// Log lines that were written.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
