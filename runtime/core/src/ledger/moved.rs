//! A partition that was given up while pieces of it were on their way to a target.

/// Pieces contain records of a partition that is not read from their end on: to go on would make
/// them visible without a position, or twice. Only the targets can tell what they hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Moved<P> {
    /// A task staged it, and it was given up before a commit was made out.
    #[error(
        "{partition} was given up while its offsets {first} to {next} were staged and not committed: it is read again from what the targets hold"
    )]
    GivenUp {
        /// The partition.
        partition: P,
        /// Where the span begins that was staged.
        first: i64,
        /// Where it ends.
        next: i64,
    },
    /// A task staged it, and it stands elsewhere: it was given up and is read anew.
    #[error(
        "offsets {first} to {next} of {partition} were staged, but it was taken over meanwhile and stands at {staged}: it is read again from what the targets hold"
    )]
    ReadAnew {
        /// The partition.
        partition: P,
        /// Where the span begins that was staged.
        first: i64,
        /// Where it ends.
        next: i64,
        /// Where the partition stands.
        staged: i64,
    },
    /// A target took it, while it was read anew from elsewhere.
    #[error(
        "{target} took {partition} up to offset {next}, but it was taken over meanwhile and stands at {staged}: it is read again from what the targets hold"
    )]
    TakenLate {
        /// The target.
        target: String,
        /// The partition.
        partition: P,
        /// What the target holds now.
        next: i64,
        /// Where the partition stands.
        staged: i64,
    },
}
