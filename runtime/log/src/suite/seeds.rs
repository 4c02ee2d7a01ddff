//! Randomness that can be had again.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// Takes the place of a random seed, to see a failure again.
const SEED: &str = "JACKFIELD_SEED";

/// The seed, which is printed.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var(SEED).map_or_else(
        |_| rand::random::<u64>(),
        |seed| seed.parse().expect("a seed is a number"),
    );
    println!("{SEED}={seed}");
    seed
}

/// Randomness from that seed.
pub(crate) fn seeded() -> StdRng {
    StdRng::seed_from_u64(seed())
}
