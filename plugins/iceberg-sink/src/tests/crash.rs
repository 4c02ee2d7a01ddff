//! Deaths at each call of every commit, where commits change the schema and where they go to
//! several tables, of one topic or each of its own. The host's part is its real ledger; whatever it
//! forgets at a death is forgotten.

use std::collections::BTreeSet;
use std::time::Duration;

use jackfield_core::{Ledger, Span as CoreSpan, Staged};
use jackfield_sdk::sink::LogPosition;
use jackfield_sdk::sink::testing::Kill;

use super::*;

const FIRST: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"symbol","type":"string"},{"name":"id","type":"int"}]}"#;
/// Wider, and with a field more.
const THEN: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"symbol","type":"string"},{"name":"id","type":"long"},
    {"name":"note","type":["null","string"],"default":null}]}"#;

/// Topics, each of one partition, and their ids.
type Topics = &'static [(&'static str, &'static str)];
const ONE: Topics = &[(TOPIC, TOPIC_ID)];
const TWO: Topics = &[("a", "id of a"), ("b", "id of b")];

/// Records of each partition; the schema changes in the middle of an interval.
const RECORDS: i64 = 12;
const CHANGES_AT: i64 = 6;
/// Records between two commits.
const INTERVAL: i64 = 4;
/// A run that dies later than this is none.
const CALLS_MAX: u32 = 2_000;

fn symbol(offset: i64) -> &'static str {
    ["A", "B", "C"][((offset * 7 + offset / 9) % 3) as usize]
}

fn of_table(table: &str) -> Settings {
    settings(&format!(r#"{{"table":"{table}","evolve":"full"}}"#))
}

fn span_of((topic, id): (&str, &str), first_offset: i64, next_offset: i64) -> Span {
    Span {
        topic: topic.to_owned(),
        topic_id: id.to_owned(),
        ..span(0, first_offset, next_offset)
    }
}

/// The log, and the world around the sink.
struct Scene {
    world: World,
    topics: Topics,
    schemas: (u32, u32),
    /// Kept in the log by the host.
    known: BTreeSet<String>,
    commits: u32,
}

impl Scene {
    fn new(table: &str, topics: Topics) -> Self {
        let world = World::guarded_by(GUARD, of_table(table));
        let schemas = &world.lake.schemas;
        let schemas = (schemas.avro(FIRST), schemas.avro(THEN));
        Self {
            world,
            topics,
            schemas,
            known: BTreeSet::new(),
            commits: 0,
        }
    }

    fn batch(&self, from: i64, to: i64) -> Vec<u8> {
        let (first, then) = self.schemas;
        let record = |offset: i64| {
            let symbol = (
                "symbol".to_owned(),
                Value::String(symbol(offset).to_owned()),
            );
            if offset < CHANGES_AT {
                let id = ("id".to_owned(), Value::Int(offset as i32));
                return datum(FIRST, Value::Record(vec![symbol, id]));
            }
            let id = ("id".to_owned(), Value::Long(offset));
            let note = Value::Union(1, Box::new(Value::String(format!("n{offset}"))));
            let note = ("note".to_owned(), note);
            datum(THEN, Value::Record(vec![symbol, id, note]))
        };
        let records: Vec<_> = (from..to)
            .map(|offset| (offset, Some(record(offset))))
            .collect();
        let schema = if from < CHANGES_AT { first } else { then };
        batch_of(schema, &records)
    }

    /// From what the tables say to the end of the log, or to a death.
    fn live(&mut self) -> Result<(), Failure> {
        let topics = self.topics;
        let number = |topic: &str| topics.iter().position(|(name, _)| *name == topic);
        let mut committer = self.world.committer();
        let known: Vec<String> = self.known.iter().cloned().collect();
        let held = committer.stored(&known)?;
        let positions = |it: &Holding| {
            let positions = it.positions.iter();
            positions
                .map(|at| (number(&at.topic).unwrap(), at.next_offset))
                .collect()
        };
        let mut ledger = Ledger::new(held.iter().map(|it| (it.target.clone(), positions(it))));
        let numbers = 0..topics.len();
        let mut at: Vec<i64> = numbers.map(|it| ledger.stored(&it).unwrap_or(0)).collect();
        for (number, at) in at.iter().enumerate() {
            ledger.own(number, *at);
        }
        let mut task = self.world.task();
        task.assigned(held)?;
        while at.iter().any(|it| *it < RECORDS) {
            let mut spans = Vec::new();
            // As far as the topic before it was when the interval began: each begins later.
            let mut there = RECORDS;
            for (number, at) in at.iter_mut().enumerate() {
                let first = *at;
                let end = (first + INTERVAL).min(there).max(first);
                there = first;
                while *at < end {
                    let next = if *at < CHANGES_AT {
                        end.min(CHANGES_AT)
                    } else {
                        end
                    };
                    let records = self.batch(*at, next);
                    put(&mut task, &span_of(topics[number], *at, next), &records)?;
                    *at = next;
                }
                spans.push(CoreSpan {
                    partition: number,
                    first,
                    next: end,
                });
            }
            let pieces = task.stage()?.into_iter();
            let staged = Staged {
                pieces: pieces.map(|it| (it.target.clone(), it)).collect(),
                spans,
            };
            let commits = ledger.interval(vec![staged], Duration::ZERO, Duration::MAX);
            for commit in commits.expect("nobody gives a partition up") {
                self.known.insert(commit.target.clone());
                self.commits += 1;
                let id = format!("c{}", self.commits);
                let spans = commit.spans.iter();
                let spans = spans.map(|it| span_of(topics[it.partition], it.first, it.next));
                let spans: Vec<Span> = spans.collect();
                committer.commit(&commit.target, &commit.pieces, &spans, &id)?;
                ledger
                    .committed(&commit)
                    .expect("nobody gives a partition up");
            }
        }
        Ok(())
    }

    /// Dies once, if that many calls are made, and lives until the end of the log. Whether it died.
    fn die_at(&mut self, kill: Kill) -> bool {
        self.world.lake.faults.kill(kill);
        let first = self.live();
        if !self.world.lake.faults.revive() {
            first.unwrap();
            return false;
        }
        self.live().unwrap();
        true
    }

    /// Whatever has happened: each record is in its table, once, with all that it says.
    fn assert_landed(&self, tables: &BTreeMap<String, Vec<i64>>, during: &str) {
        for (table, sent) in tables {
            let rows = self.world.rows_of(table);
            let mut landed = Vec::new();
            for rows in &rows {
                let ids = rows.column_by_name("id").unwrap();
                let ids = ids.as_any().downcast_ref::<arrow_array::Int64Array>();
                let notes = rows.column_by_name("note").unwrap();
                let notes = notes.as_any().downcast_ref::<arrow_array::StringArray>();
                for (id, note) in ids.unwrap().iter().zip(notes.unwrap()) {
                    let id = id.unwrap();
                    let expected = (id >= CHANGES_AT).then(|| format!("n{id}"));
                    assert_eq!(note.map(str::to_owned), expected, "{during}");
                    landed.push(id);
                }
            }
            landed.sort_unstable();
            assert_eq!(&landed, sent, "{table}, {during}");
        }
    }
}

/// Dies at every call there is.
fn die_everywhere(scene: impl Fn() -> Scene, tables: &BTreeMap<String, Vec<i64>>) {
    let mut deaths = 0;
    for effective in [false, true] {
        let end = (0..CALLS_MAX).find(|&after_calls| {
            let mut scene = scene();
            let died = scene.die_at(Kill {
                after_calls,
                effective,
            });
            deaths += u32::from(died);
            scene.assert_landed(tables, &format!("death at call {after_calls}, {effective}"));
            !died
        });
        assert!(end.is_some(), "no end after {CALLS_MAX} calls");
    }
    println!("{deaths} deaths");
    assert!(deaths > 40, "{deaths} deaths test little");
}

#[test]
fn a_death_at_any_call_of_a_commit_that_changes_the_schema_loses_and_doubles_nothing() {
    let all = (0..RECORDS).collect();
    let tables = BTreeMap::from([(TABLE.to_owned(), all)]);
    die_everywhere(|| Scene::new(TABLE, ONE), &tables);
}

#[test]
fn a_death_at_any_call_of_commits_to_several_tables_loses_and_doubles_nothing() {
    let mut tables: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for offset in 0..RECORDS {
        let table = format!("market.{}", symbol(offset));
        tables.entry(table).or_default().push(offset);
    }
    assert_eq!(tables.len(), 3);
    die_everywhere(|| Scene::new("market.{symbol}", ONE), &tables);
}

/// The first table has the first records of both topics, since its settings named it alone: until
/// the second one is there, nobody else says where the other topic goes on.
#[test]
fn a_death_at_any_call_of_commits_to_a_table_of_each_topic_loses_and_doubles_nothing() {
    const BEFORE: i64 = 2;
    let scene = || {
        let mut scene = Scene::new("lake.{topic}", TWO);
        let before = World {
            settings: of_table("lake.a"),
            ..scene.world.sibling("trades-lake")
        };
        let spans: Vec<Span> = TWO.iter().map(|it| span_of(*it, 0, BEFORE)).collect();
        let mut task = before.task();
        for at in &spans {
            put(&mut task, at, &scene.batch(0, BEFORE)).unwrap();
        }
        let pieces = task.stage().unwrap();
        let mut committer = before.committer();
        committer.commit("lake.a", &pieces, &spans, "c0").unwrap();
        scene.known.insert("lake.a".to_owned());
        scene
    };
    let mut first: Vec<i64> = (0..BEFORE).chain(0..RECORDS).collect();
    first.sort_unstable();
    let tables = BTreeMap::from([
        ("lake.a".to_owned(), first),
        ("lake.b".to_owned(), (BEFORE..RECORDS).collect()),
    ]);
    die_everywhere(scene, &tables);
}

/// A table that takes no commit at first is begun where its first record lay, once it does.
#[test]
fn a_table_that_failed_goes_on_where_it_stood() {
    let mut scene = Scene::new("market.{symbol}", ONE);
    let begin = Holding {
        target: "market.B".to_owned(),
        positions: vec![LogPosition {
            topic: TOPIC.to_owned(),
            topic_id: TOPIC_ID.to_owned(),
            partition: 0,
            next_offset: i64::MAX,
        }],
    };
    // As the host tells of a target that others go on without.
    let mut task = scene.world.task();
    task.assigned(vec![begin]).unwrap();
    put(&mut task, &span(0, 0, 6), &scene.batch(0, 6)).unwrap();
    let mut committer = scene.world.committer();
    for piece in task.stage().unwrap() {
        let target = piece.target.clone();
        assert_ne!(target, "market.B");
        let spans = [span(0, 0, 6)];
        committer.commit(&target, &[piece], &spans, "x").unwrap();
        scene.known.insert(target);
    }
    // The next life begins at what was kept of it.
    let held = committer
        .stored(&scene.known.iter().cloned().collect::<Vec<_>>())
        .unwrap();
    let mut task = scene.world.task();
    task.assigned(held).unwrap();
    put(&mut task, &span(0, 0, 6), &scene.batch(0, 6)).unwrap();
    let pieces = task.stage().unwrap();
    assert!(pieces.iter().all(|it| it.target == "market.B"));
    committer
        .commit("market.B", &pieces, &[span(0, 0, 6)], "y")
        .unwrap();
    let landed = scene.world.rows_of("market.B");
    let rows: usize = landed.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, (0..6).filter(|it| symbol(*it) == "B").count());
}
