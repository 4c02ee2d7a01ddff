//! How the slots of one plan end, taken together: what comes after the last.

use super::Served;
use crate::failures::Failed;
use crate::source::slot::SlotEnd;
use tokio::task::JoinError;

/// What one slot's end means for the others.
#[derive(Debug)]
pub(super) enum Meaning {
    /// Nothing.
    Nothing,
    /// They end too.
    End,
    /// They end too, and another plan is made in spite of this.
    PassedOver(Failed),
    /// They end too, another plan is made, and a version on probation is to blame.
    Worse(Failed),
}

/// How the slots of one plan have ended so far.
#[derive(Debug)]
pub(super) struct Ends {
    served: Result<Served, Failed>,
    /// All slots end, since the supervisor has the work split in another way.
    replanning: bool,
}

impl Ends {
    /// Of slots that are all at work.
    pub(super) fn new() -> Self {
        Self {
            served: Ok(Served::Done),
            replanning: false,
        }
    }

    /// Another plan is made, whatever the slots say from here on.
    pub(super) fn replan(&mut self) {
        self.replanning = true;
    }

    /// A slot has ended; `stopping`: so does the source, and no other plan is made.
    ///
    /// A failure while all end for another plan costs nothing but what was not durable: the next
    /// plan's slots go on from what is stored. A panic is a fault of ours, and is not passed over.
    pub(super) fn note(&mut self, joined: Result<SlotEnd, JoinError>, stopping: bool) -> Meaning {
        let failed = match joined {
            Ok(SlotEnd::Drained | SlotEnd::Ended) => return Meaning::Nothing,
            Ok(SlotEnd::Replan) => {
                if self.served.is_ok() {
                    self.served = Ok(Served::Replan);
                }
                return Meaning::End;
            }
            Ok(SlotEnd::Worse(failed)) => {
                self.replanning = true;
                return Meaning::Worse(failed);
            }
            // Those that make room for a version's other split are not that version's own.
            Ok(SlotEnd::Failed(failed)) if self.replanning && !stopping => {
                return Meaning::PassedOver(failed);
            }
            Ok(SlotEnd::Failed(failed)) if self.is_asked() && !stopping => {
                return if failed.component {
                    Meaning::Worse(failed)
                } else {
                    Meaning::PassedOver(failed)
                };
            }
            Ok(SlotEnd::Failed(failed)) => failed,
            Err(panic) => {
                Failed::for_good_by_host("slot", format!("a slot's task panicked: {panic}"))
            }
        };
        if self.served.is_ok() {
            self.served = Err(failed);
        }
        Meaning::End
    }

    /// Whether a slot asked for another plan, and none had failed before.
    fn is_asked(&self) -> bool {
        matches!(self.served, Ok(Served::Replan))
    }

    /// What comes after the last slot; `stopping` as of [`Self::note`].
    ///
    /// # Errors
    /// The first failure that is not passed over.
    pub(super) fn served(&self, stopping: bool) -> Result<Served, Failed> {
        match self.served.clone()? {
            Served::Done if self.replanning && !stopping => Ok(Served::Replan),
            served => Ok(served),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_core::Consequence;

    const GOES_ON: bool = false;
    const STOPS: bool = true;

    fn trapped() -> SlotEnd {
        SlotEnd::Failed(Failed::new("close", Consequence::Replace, "it trapped"))
    }

    fn unheard() -> SlotEnd {
        let reason = "the log is away";
        SlotEnd::Failed(Failed::new("append", Consequence::Rewind, reason))
    }

    fn worse() -> SlotEnd {
        SlotEnd::Worse(Failed::new("open", Consequence::Replace, "it trapped"))
    }

    #[test]
    fn slots_that_drain_or_end_leave_nothing_to_do() {
        let mut ends = Ends::new();
        for end in [SlotEnd::Drained, SlotEnd::Ended] {
            assert!(matches!(ends.note(Ok(end), GOES_ON), Meaning::Nothing));
        }
        assert_eq!(ends.served(GOES_ON).unwrap(), Served::Done);
    }

    #[test]
    fn a_slot_that_gives_up_ends_the_source_with_the_first_reason() {
        let mut ends = Ends::new();
        assert!(matches!(ends.note(Ok(unheard()), GOES_ON), Meaning::End));
        assert!(matches!(ends.note(Ok(trapped()), GOES_ON), Meaning::End));
        assert!(matches!(
            ends.note(Ok(SlotEnd::Replan), GOES_ON),
            Meaning::End
        ));
        let failed = ends.served(GOES_ON).unwrap_err();
        assert_eq!(failed.what, "append");
    }

    /// Two slots of a version on probation that fail a moment apart.
    #[test]
    fn a_second_failure_does_not_undo_a_roll_back() {
        let mut ends = Ends::new();
        assert!(matches!(ends.note(Ok(worse()), GOES_ON), Meaning::Worse(_)));
        let second = ends.note(Ok(trapped()), GOES_ON);
        assert!(matches!(second, Meaning::PassedOver(_)), "{second:?}");
        assert_eq!(ends.served(GOES_ON).unwrap(), Served::Replan);
    }

    #[test]
    fn a_failure_while_all_end_for_another_plan_does_not_undo_it() {
        let mut ends = Ends::new();
        let first = ends.note(Ok(SlotEnd::Replan), GOES_ON);
        assert!(matches!(first, Meaning::End));
        let away = ends.note(Ok(unheard()), GOES_ON);
        assert!(matches!(away, Meaning::PassedOver(_)), "{away:?}");
        let trapped = ends.note(Ok(trapped()), GOES_ON);
        assert!(matches!(trapped, Meaning::Worse(_)), "{trapped:?}");
        assert_eq!(ends.served(GOES_ON).unwrap(), Served::Replan);
    }

    #[test]
    fn slots_that_make_room_for_another_split_blame_nobody() {
        let mut ends = Ends::new();
        ends.replan();
        let trapped = ends.note(Ok(trapped()), GOES_ON);
        assert!(matches!(trapped, Meaning::PassedOver(_)), "{trapped:?}");
        assert_eq!(ends.served(GOES_ON).unwrap(), Served::Replan);
    }

    #[test]
    fn a_source_that_is_to_end_makes_no_other_plan_and_tells_what_failed() {
        let mut ends = Ends::new();
        ends.replan();
        assert_eq!(ends.served(STOPS).unwrap(), Served::Done);
        assert!(matches!(ends.note(Ok(unheard()), STOPS), Meaning::End));
        assert_eq!(ends.served(STOPS).unwrap_err().what, "append");
    }

    #[tokio::test]
    async fn a_panic_of_ours_is_not_passed_over() {
        let mut ends = Ends::new();
        ends.replan();
        let panicked = tokio::spawn(panics()).await;
        assert!(matches!(ends.note(panicked, GOES_ON), Meaning::End));
        let failed = ends.served(GOES_ON).unwrap_err();
        assert!(failed.reason.contains("panicked") && !failed.component);
    }

    async fn panics() -> SlotEnd {
        panic!("in a slot")
    }
}
