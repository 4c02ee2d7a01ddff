//! What a running slot polls, told to whoever compares it.

use jackfield_plugin::Polled;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Polls that may wait to be compared: some seconds of a busy source.
const POLLS_MAX: usize = 4096;
/// Bytes of their records.
const BYTES_MAX: usize = 128 * 1024 * 1024;

/// One poll of the running version.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) polled: Polled,
    /// The highest event that it had been given.
    pub(crate) given: u64,
}

/// The running version's side. Dropping it says that there is no more to compare with.
#[derive(Debug)]
pub(crate) struct Twin {
    sender: mpsc::Sender<Told>,
    bytes: Arc<AtomicUsize>,
}

/// The other side.
#[derive(Debug)]
pub(crate) struct ToldReceiver {
    receiver: mpsc::Receiver<Told>,
    bytes: Arc<AtomicUsize>,
}

impl Twin {
    pub(crate) fn new() -> (Self, ToldReceiver) {
        let (sender, receiver) = mpsc::channel(POLLS_MAX);
        let bytes = Arc::new(AtomicUsize::new(0));
        let told = ToldReceiver {
            receiver,
            bytes: Arc::clone(&bytes),
        };
        (Self { sender, bytes }, told)
    }

    /// Tells a poll, without waiting; false: nobody keeps up with it.
    pub(crate) fn tell(&self, polled: &Polled, given: u64) -> bool {
        let own = records_bytes(polled);
        if self.bytes.load(Ordering::Acquire) + own > BYTES_MAX {
            return false;
        }
        self.bytes.fetch_add(own, Ordering::AcqRel);
        let told = Told {
            polled: polled.clone(),
            given,
        };
        self.sender.try_send(told).is_ok()
    }
}

impl ToldReceiver {
    /// The next poll, if there is one already. An error: there will be none.
    pub(crate) fn try_next(&mut self) -> Result<Option<Told>, Over> {
        match self.receiver.try_recv() {
            Ok(told) => Ok(Some(self.took(told))),
            Err(mpsc::error::TryRecvError::Empty) => Ok(None),
            Err(mpsc::error::TryRecvError::Disconnected) => Err(Over),
        }
    }

    /// The next poll; an error: there will be none.
    pub(crate) async fn next(&mut self) -> Result<Told, Over> {
        let told = self.receiver.recv().await.ok_or(Over)?;
        Ok(self.took(told))
    }

    fn took(&self, told: Told) -> Told {
        let own = records_bytes(&told.polled);
        self.bytes.fetch_sub(own, Ordering::AcqRel);
        told
    }
}

/// The running version tells no more: it ended, was replaced, or was not kept up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Over;

fn records_bytes(polled: &Polled) -> usize {
    polled.outputs.iter().map(|it| it.records.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_plugin::Output;

    fn polled(bytes: usize) -> Polled {
        Polled {
            outputs: vec![Output {
                feed: 0,
                records: vec![0; bytes],
            }],
            ..Polled::default()
        }
    }

    #[test]
    fn nobody_waits_for_who_does_not_keep_up() {
        let (twin, _told) = Twin::new();
        let told = (0..=POLLS_MAX).take_while(|_| twin.tell(&polled(1), 0));
        assert_eq!(told.count(), POLLS_MAX);
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_frees_them_when_it_is_taken() {
        let (twin, mut told) = Twin::new();
        let half = polled(BYTES_MAX / 2);
        assert!(twin.tell(&half, 1) && twin.tell(&half, 2));
        assert!(!twin.tell(&polled(1), 3));
        assert_eq!(told.try_next().unwrap().unwrap().given, 1);
        assert!(twin.tell(&half, 4));
    }

    #[test]
    fn what_was_told_is_heard_before_that_it_is_over() {
        let (twin, mut told) = Twin::new();
        assert!(twin.tell(&polled(1), 1));
        drop(twin);
        assert_eq!(told.try_next().unwrap().unwrap().given, 1);
        assert_eq!(told.try_next().unwrap_err(), Over);
    }
}
