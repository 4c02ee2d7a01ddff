//! Whether the topic of configs can be read, as `/health` tells it.

use jackfield_connect::entities::WorkerStatus;

/// Looks that may fail one after the other, a second between them: the log waits out most of what
/// passes, each time, before it says that it failed.
const FAILED_MAX: u32 = 5;

/// How the looks at the topic ended.
#[derive(Debug, Default)]
pub(super) struct Looks {
    read_once: bool,
    /// Since the last that worked.
    failed: u32,
}

/// What that says of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It does not know yet what it is to run.
    Starting,
    /// It knows what all workers were asked for.
    Healthy,
    /// What is asked of it, or of others, may not be done.
    Unhealthy,
}

impl Looks {
    /// A look has ended, well or not.
    pub(super) fn ended(&mut self, well: bool) {
        self.read_once |= well;
        self.failed = match well {
            true => 0,
            false => self.failed.saturating_add(1),
        };
    }

    /// As in Kafka Connect, what has never begun is not unhealthy but starting.
    pub(super) fn health(&self) -> Health {
        match (self.read_once, self.failed >= FAILED_MAX) {
            (false, _) => Health::Starting,
            (true, false) => Health::Healthy,
            (true, true) => Health::Unhealthy,
        }
    }
}

impl Health {
    pub(super) fn status(self) -> WorkerStatus {
        let (status, message) = match self {
            Self::Starting => (
                "starting",
                "Worker is still starting up: the topic of configs was not read yet.",
            ),
            Self::Healthy => (
                "healthy",
                "Worker has completed startup and is ready to handle requests.",
            ),
            Self::Unhealthy => (
                "unhealthy",
                "Worker was unable to read the topic of configs and may be unable to handle requests: its log says why.",
            ),
        };
        WorkerStatus {
            status: status.to_owned(),
            message: message.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(looks: &[bool]) -> Health {
        let mut all = Looks::default();
        looks.iter().for_each(|well| all.ended(*well));
        all.health()
    }

    #[test]
    fn it_is_starting_until_the_topic_was_read_once() {
        assert_eq!(after(&[]), Health::Starting);
        assert_eq!(after(&[false; FAILED_MAX as usize * 2]), Health::Starting);
        assert_eq!(after(&[false, true]), Health::Healthy);
    }

    #[test]
    fn it_is_unhealthy_once_so_many_looks_in_a_row_failed_and_well_with_the_next_that_works() {
        let mut looks = vec![true];
        for _ in 1..FAILED_MAX {
            looks.push(false);
            assert_eq!(after(&looks), Health::Healthy);
        }
        let one_between = [&looks[..], &looks[..]].concat();
        assert_eq!(after(&one_between), Health::Healthy);
        looks.push(false);
        assert_eq!(after(&looks), Health::Unhealthy);
        looks.push(false);
        assert_eq!(after(&looks), Health::Unhealthy);
        looks.push(true);
        assert_eq!(after(&looks), Health::Healthy);
    }

    #[test]
    fn each_is_said_in_the_words_of_kafka_connect() {
        let words = [Health::Starting, Health::Healthy, Health::Unhealthy]
            .map(|health| health.status().status);
        assert_eq!(words, ["starting", "healthy", "unhealthy"]);
    }
}
