//! Whether who records is made to wait.

use std::time::{Duration, Instant};

/// How long this thread was asleep while `work` ran: neither on a processor nor waiting for one.
/// That is what waiting for a lock looks like, however busy the machine is.
fn asleep(work: &mut impl FnMut()) -> (Duration, Duration) {
    let scheduled = || {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        let mut fields = stat
            .split_whitespace()
            .map(|field| field.parse::<u64>().unwrap());
        let (ran, waited) = (fields.next().unwrap(), fields.next().unwrap());
        Duration::from_nanos(ran + waited)
    };
    let (started, before) = (Instant::now(), scheduled());
    work();
    let wall = started.elapsed();
    (wall.saturating_sub(scheduled() - before), wall)
}

/// The same of the first of a few tries that hardly slept, and how many there were. A lock that is waited
/// for is waited for in each; time that was taken from a virtual machine looks alike, and passes.
pub(crate) fn least_asleep(mut work: impl FnMut()) -> (Duration, Duration, u64) {
    const TRIES: u64 = 10;
    let mut tries = 1;
    loop {
        let (asleep, wall) = asleep(&mut work);
        if tries == TRIES || asleep < wall / 4 {
            return (asleep, wall, tries);
        }
        tries += 1;
    }
}
