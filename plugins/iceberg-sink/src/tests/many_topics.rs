//! A table for each of many topics: what a committer holds of them, and what each of them holds.

use std::sync::atomic::{AtomicUsize, Ordering};

use jackfield_sdk::sink::{Catalog, CatalogError, CatalogTable};

use super::*;
use crate::commit::KNOWN_BYTES_MAX;

fn world(table: &str, more: &str) -> World {
    World::new(settings(&format!(r#"{{"table":"{table}"{more}}}"#)))
}

fn at(topic: &str, first_offset: i64, next_offset: i64) -> Span {
    Span {
        topic: topic.to_owned(),
        topic_id: format!("id of {topic}"),
        ..span(0, first_offset, next_offset)
    }
}

/// Puts one trade of each topic, and stages.
fn staged(world: &World, topics: &[&str], offset: i64) -> Vec<Piece> {
    let mut task = world.task();
    for topic in topics {
        let batch = trades(world.schema, &[Trade::new("A", offset)]);
        put(&mut task, &at(topic, offset, offset + 1), &batch).unwrap();
    }
    task.stage().unwrap()
}

/// Commits each piece by itself, as one host does.
fn commit(committer: &mut IcebergSink, pieces: Vec<Piece>, spans: &[Span], id: &str) {
    for piece in pieces {
        let target = piece.target.clone();
        committer.commit(&target, &[piece], spans, id).unwrap();
    }
}

fn names(targets: &[&str]) -> Vec<String> {
    targets.iter().map(|it| (*it).to_owned()).collect()
}

/// Topics and next offsets by target.
fn told(held: &[Holding]) -> Vec<(String, Vec<(String, i64)>)> {
    let of = |it: &Holding| -> Vec<(String, i64)> {
        let positions = it.positions.iter();
        positions
            .map(|at| (at.topic.clone(), at.next_offset))
            .collect()
    };
    held.iter().map(|it| (it.target.clone(), of(it))).collect()
}

/// As [`told`] has it.
fn holding(expected: &[(&str, &[(&str, i64)])]) -> Vec<(String, Vec<(String, i64)>)> {
    let of = |it: &[(&str, i64)]| -> Vec<(String, i64)> {
        let positions = it.iter();
        positions
            .map(|(topic, at)| ((*topic).to_owned(), *at))
            .collect()
    };
    let expected = expected.iter();
    expected
        .map(|(it, at)| ((*it).to_owned(), of(at)))
        .collect()
}

fn snapshots(world: &World, table: &str) -> usize {
    world.read_table(table, async |it| it.metadata().snapshots().len())
}

#[test]
fn a_committer_keeps_few_tables_however_many_it_commits_to() {
    const TABLES: usize = 24;
    let note = "x".repeat(1024 * 1024);
    let world = world(
        "lake.{topic}",
        &format!(r#","properties":{{"note":"{note}"}}"#),
    );
    let topics: Vec<String> = (0..TABLES).map(|n| format!("t{n}")).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let spans = |offset: i64| -> Vec<Span> {
        let all = topics.iter();
        all.map(|it| at(it, offset, offset + 1)).collect()
    };
    let mut committer = world.committer();
    commit(&mut committer, staged(&world, &topics, 0), &spans(0), "c1");
    let mut committer = world.committer();
    let targets: Vec<String> = topics.iter().map(|it| format!("lake.{it}")).collect();
    assert_eq!(committer.stored(&targets).unwrap().len(), TABLES);
    assert_eq!(committer.known(), (0, 0), "positions are all that stays");
    commit(&mut committer, staged(&world, &topics, 1), &spans(1), "c2");
    let (tables, bytes) = committer.known();
    assert!((1..TABLES).contains(&tables), "{tables}");
    assert!(bytes <= KNOWN_BYTES_MAX, "{bytes}");
}

#[test]
fn a_table_holds_the_positions_of_its_own_topic_only() {
    let world = world("lake.{topic}", "");
    let mut committer = world.committer();
    let spans = [at("a", 0, 1), at("b", 0, 1), at("c", 0, 9)];
    commit(&mut committer, staged(&world, &["a", "b"], 0), &spans, "c1");
    world.read_table("lake.a", async |table| {
        let metadata = table.metadata();
        let head = metadata.current_snapshot().unwrap();
        let summary = &head.summary().additional_properties;
        let offsets = "jackfield.offsets.trades-lake";
        let first = "jackfield.first-offsets.trades-lake";
        let (summary, properties) = (&summary[offsets], metadata.properties());
        for text in [summary, &properties[offsets], &properties[first]] {
            assert!(text.contains("id of a"), "{text}");
            assert!(
                !text.contains("id of b") && !text.contains("id of c"),
                "{text}"
            );
        }
    });
    // In the next life each says where its own topic goes on.
    let mut committer = world.committer();
    let held = committer.stored(&names(&["lake.a", "lake.b"])).unwrap();
    let expected = holding(&[("lake.a", &[("a", 1)]), ("lake.b", &[("b", 1)])]);
    assert_eq!(told(&held), expected);
    // The host tells each where the others begin, which is no news.
    let begin = [at("a", 1, 1), at("b", 1, 1), at("c", 9, 9)];
    for (table, id) in [("lake.a", "c2"), ("lake.b", "c3")] {
        committer.commit(table, &[], &begin, id).unwrap();
        // Nor is it when they have moved on.
        let idle = [begin[0].clone(), begin[1].clone(), at("c", 9, 99)];
        committer.commit(table, &[], &idle, id).unwrap();
        assert_eq!(snapshots(&world, table), 1, "{table}");
    }
    // Each is fenced by its own positions, whatever another's are said to be.
    let pieces = staged(&world, &["a"], 1);
    let behind = [at("a", 0, 2), at("b", 1, 1)];
    let fenced = committer.commit("lake.a", &pieces, &behind, "c4");
    assert!(matches!(fenced, Err(Failure::Fenced(_))), "{fenced:?}");
    let spans = [at("a", 1, 2), at("b", 77, 80)];
    committer.commit("lake.a", &pieces, &spans, "c5").unwrap();
    let held = committer.stored(&names(&["lake.a", "lake.b"])).unwrap();
    let expected = holding(&[("lake.a", &[("a", 2)]), ("lake.b", &[("b", 1)])]);
    assert_eq!(told(&held), expected);
}

/// A catalog that counts what is loaded from it.
struct Counting {
    catalog: Arc<dyn Catalog>,
    loads: Arc<AtomicUsize>,
}

impl Catalog for Counting {
    fn load(&self, ident: &str, known: Option<&str>) -> Result<Option<CatalogTable>, CatalogError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.catalog.load(ident, known)
    }

    fn create(&self, ident: &str, creation: &str) -> Result<CatalogTable, CatalogError> {
        self.catalog.create(ident, creation)
    }

    fn commit(
        &self,
        ident: &str,
        expected_location: &str,
        requirements: &str,
        updates: &str,
    ) -> Result<CatalogTable, CatalogError> {
        self.catalog
            .commit(ident, expected_location, requirements, updates)
    }
}

/// Of thousands of tables the host asks some hundreds at a time, and tells each where it begins.
#[test]
fn what_tables_said_in_parts_is_not_loaded_again() {
    let world = world("lake.{topic}", "");
    let spans = [at("a", 0, 1), at("b", 0, 1)];
    let pieces = staged(&world, &["a", "b"], 0);
    commit(&mut world.committer(), pieces, &spans, "c1");
    let loads = Arc::new(AtomicUsize::new(0));
    let mut ports = world.lake.ports();
    ports.catalog = Arc::new(Counting {
        catalog: ports.catalog,
        loads: Arc::clone(&loads),
    });
    let mut committer = world.open_with(ports, Role::Committer).unwrap();
    for table in ["lake.a", "lake.b"] {
        assert_eq!(committer.stored(&names(&[table])).unwrap().len(), 1);
    }
    assert_eq!(loads.load(Ordering::Relaxed), 2);
    let begin = [at("a", 1, 1), at("b", 1, 1)];
    for table in ["lake.a", "lake.b"] {
        committer.commit(table, &[], &begin, "c2").unwrap();
        assert_eq!(loads.load(Ordering::Relaxed), 2, "{table}");
    }
}

/// As versions did that kept all positions in every table: nothing is read again for what they left.
#[test]
fn positions_of_other_topics_that_a_table_still_has_hold_up_nobody() {
    let world = world("lake.{topic}", "");
    let one_table = |table: &str| World {
        settings: settings(&format!(r#"{{"table":"{table}"}}"#)),
        ..world.sibling("trades-lake")
    };
    let both = |offset: i64| [at("a", offset, offset + 1), at("b", offset, offset + 1)];
    let known = names(&["lake.a", "lake.b"]);
    let before = one_table("lake.a");
    let pieces = staged(&world, &["a"], 0);
    commit(&mut before.committer(), pieces, &both(0), "c1");
    // As long as nobody else knows of the other topic, this table is asked.
    let held = world.committer().stored(&known).unwrap();
    assert_eq!(told(&held), holding(&[("lake.a", &[("a", 1), ("b", 1)])]));
    // Nor do rows of its own take that away.
    let pieces = staged(&world, &["a"], 1);
    let spans = [at("a", 1, 2), at("b", 1, 1)];
    commit(&mut world.committer(), pieces, &spans, "c2");
    let held = world.committer().stored(&known).unwrap();
    assert_eq!(told(&held), holding(&[("lake.a", &[("a", 2), ("b", 1)])]));
    // Then that has moved on, and the entry here has not.
    let pieces = staged(&world, &["b"], 1);
    let spans = [at("a", 2, 2), at("b", 1, 50)];
    commit(&mut world.committer(), pieces, &spans, "c3");
    let mut committer = world.committer();
    let held = committer.stored(&known).unwrap();
    let expected = holding(&[("lake.a", &[("a", 2)]), ("lake.b", &[("b", 50)])]);
    assert_eq!(told(&held), expected);
    // Also where the host asks for one table at a time, whichever comes first.
    for order in [[0, 1], [1, 0]] {
        let mut committer = world.committer();
        let mut held: Vec<Holding> = order
            .into_iter()
            .flat_map(|at| committer.stored(&known[at..=at]).unwrap())
            .collect();
        held.sort_by(|a, b| a.target.cmp(&b.target));
        assert_eq!(told(&held), expected, "{order:?}");
    }
    // With its next rows the table has no other's any more.
    let pieces = staged(&world, &["a"], 2);
    let spans = [at("a", 2, 3), at("b", 50, 50)];
    commit(&mut committer, pieces, &spans, "c4");
    let held = one_table("lake.a").committer().stored(&known).unwrap();
    let expected = holding(&[("lake.a", &[("a", 3)]), ("lake.b", &[("b", 50)])]);
    assert_eq!(told(&held), expected);
}

/// Also to a committer that was asked for nothing, as after a swap: it meets the topic in the table.
#[test]
fn positions_of_other_topics_are_no_news_to_a_table_whose_own_topic_is_not_read_any_more() {
    let world = world("lake.{topic}", "");
    let pieces = staged(&world, &["c"], 0);
    commit(&mut world.committer(), pieces, &[at("c", 0, 1)], "c1");
    let moved = [at("a", 10, 1000)];
    let mut committer = world.committer();
    committer.commit("lake.c", &[], &moved, "c2").unwrap();
    assert_eq!(snapshots(&world, "lake.c"), 1);
}
