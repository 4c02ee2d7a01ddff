//! Many commits under every fault at once, from a seed: what lands is what was sent, once.

use jackfield_sdk::sink::testing::{CommitFate, Kill};
use rand::rngs::StdRng;
use rand::seq::{IndexedMutRandom, IndexedRandom};
use rand::{Rng, SeedableRng};

use super::*;

const PARTITIONS: i32 = 3;
/// Records of each partition.
const RECORDS: i64 = 1000;
/// A run that needs more steps makes no progress.
const STEPS_MAX: u32 = 20_000;
/// Runs at least, and as many more as it takes to meet so many kills.
const RUNS_MIN: u64 = 6;
const KILLS_MIN: u32 = 9;
/// A run meets two kills on average.
const RUNS_MAX: u64 = 60;

/// What a host does with the sink, and no more than it may.
struct Host<'a> {
    world: &'a World,
    random: StdRng,
    running: Option<Running>,
    kills: u32,
    commits: u64,
}

struct Running {
    task: IcebergSink,
    committer: IcebergSink,
    /// Where each partition is committed, and where it is read.
    frontier: BTreeMap<i32, (i64, i64)>,
}

/// Whether the process still lives after a call.
enum After<R> {
    Fine(R),
    /// Killed, or to be opened anew.
    Gone,
}

/// A record's value in all partitions: unique.
fn id(partition: i32, offset: i64) -> i64 {
    i64::from(partition) * 1_000_000 + offset
}

impl Host<'_> {
    fn sent() -> Vec<i64> {
        (0..PARTITIONS)
            .flat_map(|p| (0..RECORDS).map(move |it| id(p, it)))
            .collect()
    }

    fn heard<R>(&mut self, outcome: Result<R, Failure>) -> After<R> {
        if self.world.lake.faults.revive() {
            self.kills += 1;
            return After::Gone;
        }
        match outcome {
            Ok(it) => After::Fine(it),
            Err(Failure::Retry { .. } | Failure::Rewind(_) | Failure::Fenced(_)) => After::Gone,
            Err(other) => panic!("{other}"),
        }
    }

    fn start(&mut self) {
        let mut task = self.world.task();
        let mut committer = self.world.committer();
        let held = committer.stored(&[TABLE.to_owned()]);
        let After::Fine(held) = self.heard(held) else {
            return;
        };
        let stored: BTreeMap<i32, i64> = held
            .iter()
            .flat_map(|it| &it.positions)
            .map(|at| (at.partition, at.next_offset))
            .collect();
        let assigned = task.assigned(held);
        let After::Fine(()) = self.heard(assigned) else {
            return;
        };
        let frontier = (0..PARTITIONS)
            .map(|p| {
                let at = stored.get(&p).copied().unwrap_or(0);
                (p, (at, at))
            })
            .collect();
        self.running = Some(Running {
            task,
            committer,
            frontier,
        });
    }

    fn put(&mut self) -> After<()> {
        let partition = self.random.random_range(0..PARTITIONS);
        let count = self.random.random_range(1..50);
        let running = self.running.as_mut().expect("it runs");
        let first = running.frontier[&partition].1;
        let next = (first + count).min(RECORDS);
        if first == next {
            return After::Fine(());
        }
        let records: Vec<_> = (first..next)
            .map(|offset| {
                let symbol = ["BTCUSDT", "ETHUSDT"][(offset % 2) as usize];
                (
                    offset,
                    Some(Trade::new(symbol, id(partition, offset)).datum()),
                )
            })
            .collect();
        let batch = batch_of(self.world.schema, &records);
        let outcome = put(&mut running.task, &span(partition, first, next), &batch);
        running
            .frontier
            .entry(partition)
            .and_modify(|it| it.1 = next);
        match self.heard(outcome) {
            After::Fine(_) => After::Fine(()),
            After::Gone => After::Gone,
        }
    }

    fn commit(&mut self) -> After<()> {
        let running = self.running.as_mut().expect("it runs");
        let staged = running.task.stage();
        let After::Fine(pieces) = self.heard(staged) else {
            return After::Gone;
        };
        let running = self.running.as_mut().expect("it runs");
        let spans: Vec<_> = running
            .frontier
            .iter()
            .filter(|(_, (committed, read))| committed < read)
            .map(|(partition, (committed, read))| span(*partition, *committed, *read))
            .collect();
        if spans.is_empty() {
            return After::Fine(());
        }
        self.commits += 1;
        let commit_id = format!("c{}", self.commits);
        let fates = [
            CommitFate::Conflict,
            CommitFate::Transient,
            CommitFate::UnknownDone,
            CommitFate::UnknownLost,
            CommitFate::UnknownLate {
                calls: self.random.random_range(0..6),
            },
        ];
        for _ in 0..self.random.random_range(0..3) {
            self.world
                .lake
                .faults
                .commits(fates.choose(&mut self.random).copied());
        }
        // After a retry or a death in the middle the host may ask again, on whatever committer
        // there is; or it gives up and reads back what is stored.
        for _ in 0..self.random.random_range(1..4) {
            let running = self.running.as_mut().expect("it runs");
            let outcome = running.committer.commit(TABLE, &pieces, &spans, &commit_id);
            if let After::Fine(_) = self.heard(outcome) {
                let running = self.running.as_mut().expect("it runs");
                for frontier in running.frontier.values_mut() {
                    frontier.0 = frontier.1;
                }
                return After::Fine(());
            }
            let running = self.running.as_mut().expect("it runs");
            running.committer = self.world.committer();
        }
        After::Gone
    }

    fn done(&self) -> bool {
        self.running.as_ref().is_some_and(|it| {
            it.frontier
                .values()
                .all(|(committed, _)| *committed == RECORDS)
        })
    }

    fn run(&mut self) -> u32 {
        for step in 0..STEPS_MAX {
            if self.done() {
                return step;
            }
            if self.random.random_ratio(1, 8) {
                self.world.lake.faults.kill(Kill {
                    after_calls: self.random.random_range(0..12),
                    effective: self.random.random(),
                });
            }
            let after = match self.running {
                None => {
                    self.start();
                    After::Fine(())
                }
                Some(_) if self.random.random_ratio(1, 3) => self.commit(),
                Some(_) => self.put(),
            };
            if let After::Gone = after {
                self.running = None;
            }
        }
        panic!("no end after {STEPS_MAX} steps");
    }
}

#[test]
fn what_lands_is_what_was_sent() {
    let first: u64 = rand::rng().random();
    let mut kills = 0;
    for run in 0..RUNS_MAX {
        let seed = first.wrapping_add(run);
        println!("seed {seed}");
        kills += lands(seed);
        if run + 1 >= RUNS_MIN && kills >= KILLS_MIN {
            return;
        }
    }
    panic!("{kills} kills in {RUNS_MAX} runs test little");
}

/// The kills it took.
fn lands(seed: u64) -> u32 {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    let mut host = Host {
        world: &world,
        random: StdRng::seed_from_u64(seed),
        running: None,
        kills: 0,
        commits: 0,
    };
    let steps = host.run();
    world.lake.faults.clear();
    world.lake.catalog.settle();
    println!(
        "{steps} steps, {} kills, {} commits asked for",
        host.kills, host.commits
    );
    assert_eq!(world.trade_ids(), Host::sent());
    assert!(world.positions().values().all(|it| *it == RECORDS));
    host.kills
}

/// Two workers believe that the same partitions are theirs, all the way.
#[test]
fn two_workers_at_once_double_nothing() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    let mut hosts: Vec<_> = (0..2)
        .map(|it| Host {
            world: &world,
            random: StdRng::seed_from_u64(seed.wrapping_add(it)),
            running: None,
            kills: 0,
            commits: it * 1_000_000,
        })
        .collect();
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..STEPS_MAX {
        if hosts.iter().any(Host::done) {
            break;
        }
        let host = hosts.choose_mut(&mut random).expect("there are two");
        let after = match host.running {
            None => {
                host.start();
                After::Fine(())
            }
            Some(_) if random.random_ratio(1, 5) => host.commit(),
            Some(_) => host.put(),
        };
        if let After::Gone = after {
            host.running = None;
        }
    }
    world.lake.faults.clear();
    world.lake.catalog.settle();
    assert_eq!(world.trade_ids(), Host::sent());
}
