//! The commits of an interval, and kills between them.

use super::*;

const NEVER: Duration = Duration::MAX;

fn staged(pieces: &[&str], spans: &[(u8, i64, i64)]) -> Staged<u8, u32> {
    Staged {
        pieces: pieces.iter().map(|t| ((*t).to_owned(), 1)).collect(),
        spans: spans
            .iter()
            .map(|&(partition, first, next)| Span {
                partition,
                first,
                next,
            })
            .collect(),
    }
}

/// A commit's target, how many pieces, and where each span begins and ends.
type Named<'a> = (&'a str, usize, Vec<(i64, i64)>);

fn names(commits: &[Commit<u8, u32>]) -> Vec<Named<'_>> {
    commits
        .iter()
        .map(|c| {
            (
                c.target.as_str(),
                c.pieces.len(),
                c.spans.iter().map(|s| (s.first, s.next)).collect(),
            )
        })
        .collect()
}

fn apply(ledger: &mut Ledger<u8>, commits: &[Commit<u8, u32>]) {
    for commit in commits {
        ledger.committed(commit).unwrap();
    }
}

#[test]
fn one_target_costs_one_commit_an_interval() {
    let mut ledger = Ledger::new([]);
    ledger.own(0u8, 5);
    ledger.own(1, 0);
    let commits = ledger.interval(
        vec![staged(&["t"], &[(0, 5, 9)]), staged(&["t"], &[(1, 0, 3)])],
        Duration::ZERO,
        NEVER,
    );
    let commits = commits.unwrap();
    assert_eq!(names(&commits), [("t", 2, vec![(5, 9), (0, 3)])]);
    apply(&mut ledger, &commits);
    assert_eq!(ledger.stored(&0), Some(9));
    let nothing = staged(&[], &[(0, 9, 9), (1, 3, 3)]);
    let commits = ledger.interval(vec![nothing], Duration::ZERO, NEVER);
    assert!(commits.unwrap().is_empty());
}

#[test]
fn a_new_target_is_told_where_the_interval_began_before_any_other_commits() {
    let mut ledger = Ledger::new([("a".to_owned(), BTreeMap::from([(0u8, 5)]))]);
    ledger.own(0, 5);
    let commits = ledger.interval(
        vec![staged(&["b", "a"], &[(0, 5, 9)])],
        Duration::ZERO,
        NEVER,
    );
    let commits = commits.unwrap();
    assert_eq!(
        names(&commits),
        [
            ("b", 0, vec![(5, 5)]),
            ("a", 1, vec![(5, 9)]),
            ("b", 1, vec![(5, 9)])
        ]
    );
}

#[test]
fn an_idle_target_lags_and_is_then_advanced() {
    let mut ledger = Ledger::new([
        ("a".to_owned(), BTreeMap::from([(0u8, 5)])),
        ("b".to_owned(), BTreeMap::from([(0u8, 5)])),
    ]);
    ledger.own(0, 5);
    let idle_max = Duration::from_secs(60);
    let commits = ledger.interval(vec![staged(&["a"], &[(0, 5, 9)])], Duration::ZERO, idle_max);
    let commits = commits.unwrap();
    assert_eq!(names(&commits), [("a", 1, vec![(5, 9)])]);
    apply(&mut ledger, &commits);
    assert_eq!(
        ledger.stored(&0),
        Some(5),
        "a restart reads from the lowest"
    );
    let commits = ledger.interval(vec![staged(&["a"], &[(0, 9, 12)])], idle_max, idle_max);
    assert_eq!(
        names(&commits.unwrap()),
        [("a", 1, vec![(9, 12)]), ("b", 0, vec![(5, 12)])]
    );
}

#[test]
fn a_target_ahead_of_a_rewind_never_goes_back() {
    let mut ledger = Ledger::new([
        ("a".to_owned(), BTreeMap::from([(0u8, 50)])),
        ("b".to_owned(), BTreeMap::from([(0u8, 5)])),
    ]);
    ledger.own(0, 5);
    let commits = ledger.interval(vec![staged(&["b"], &[(0, 5, 20)])], Duration::ZERO, NEVER);
    let commits = commits.unwrap();
    assert_eq!(names(&commits), [("b", 1, vec![(5, 20)])]);
    apply(&mut ledger, &commits);
    assert_eq!(ledger.held()["a"][&0], 50);
}

#[test]
fn a_failed_target_stays_where_it_is_and_the_others_go_on() {
    let mut ledger = Ledger::new([
        ("a".to_owned(), BTreeMap::from([(0u8, 5)])),
        ("b".to_owned(), BTreeMap::from([(0u8, 5)])),
    ]);
    ledger.own(0, 5);
    ledger.fail("b");
    let idle_max = Duration::from_secs(60);
    for (from, to, now) in [(5, 9, Duration::ZERO), (9, 12, idle_max * 2)] {
        let staged = staged(&["a", "b"], &[(0, from, to)]);
        let commits = ledger.interval(vec![staged], now, idle_max).unwrap();
        assert_eq!(names(&commits), [("a", 1, vec![(from, to)])]);
        apply(&mut ledger, &commits);
    }
    assert_eq!(ledger.stored(&0), Some(5), "a new life reads what it lacks");
    assert_eq!(ledger.wanted(&0), Some(12), "this one does not");
}

#[test]
fn a_failed_target_begins_where_partitions_did_that_came_later() {
    let mut ledger = Ledger::new(["a", "b"].map(|target| {
        let held = BTreeMap::from([(0u8, 5)]);
        (target.to_owned(), held)
    }));
    ledger.own(0, 5);
    ledger.fail("b");
    ledger.own(1, 0);
    for (from, to) in [(0, 4), (4, 7)] {
        let staged = staged(&["a", "b"], &[(0, 5, 5), (1, from, to)]);
        let commits = ledger.interval(vec![staged], Duration::ZERO, NEVER);
        assert_eq!(ledger.held()["b"], BTreeMap::from([(0, 5), (1, 0)]));
        apply(&mut ledger, &commits.unwrap());
    }
    assert_eq!(ledger.stored(&1), Some(0), "a new life reads what it lacks");
    assert_eq!(ledger.wanted(&1), Some(7), "this one does not");
}

#[test]
fn a_target_that_fails_at_its_first_commit_begins_there_in_another_life() {
    let mut ledger = Ledger::new([("a".to_owned(), BTreeMap::from([(0u8, 5)]))]);
    ledger.own(0, 5);
    let staged = staged(&["a", "b"], &[(0, 5, 9)]);
    let commits = ledger.interval(vec![staged], Duration::ZERO, NEVER);
    let commits = commits.unwrap();
    assert_eq!(commits[0].target, "b");
    assert_eq!(ledger.begins(&commits[0]), BTreeMap::from([(0, 5)]));
    ledger.fail("b");
    ledger.committed(&commits[1]).unwrap();
    assert_eq!(ledger.stored(&0), Some(5));
    assert!(ledger.begins(&commits[0]).is_empty(), "it is told by now");
}

/// Kills at every point of a run over three targets: after a restart from what the targets
/// hold, each record reaches its target exactly once.
#[test]
fn a_kill_between_any_two_commits_loses_and_doubles_nothing() {
    const RECORDS: i64 = 60;
    let target_of = |offset: i64| ["a", "b", "c"][((offset * 7 + offset / 9) % 3) as usize];
    for kill_after in 0..40 {
        let mut tables: BTreeMap<String, (BTreeMap<u8, i64>, Vec<i64>)> = BTreeMap::new();
        let mut commits_made = 0;
        for life in 0..2 {
            let held: Vec<_> = tables
                .iter()
                .map(|(t, (p, _))| (t.clone(), p.clone()))
                .collect();
            let mut ledger = Ledger::new(held);
            let mut at = ledger.stored(&0u8).unwrap_or(0);
            ledger.own(0, at);
            'life: while at < RECORDS {
                let end = (at + 7).min(RECORDS);
                let pieces = (at..end)
                    .filter(|&o| {
                        ledger
                            .held()
                            .get(target_of(o))
                            .and_then(|h| h.get(&0))
                            .is_none_or(|&h| o >= h)
                    })
                    .map(|o| (target_of(o).to_owned(), o))
                    .collect();
                let staged = Staged {
                    pieces,
                    spans: vec![Span {
                        partition: 0,
                        first: at,
                        next: end,
                    }],
                };
                at = end;
                let commits = ledger.interval(vec![staged], Duration::ZERO, NEVER);
                for commit in commits.unwrap() {
                    if life == 0 && commits_made == kill_after {
                        break 'life;
                    }
                    commits_made += 1;
                    let table = tables.entry(commit.target.clone()).or_default();
                    for span in &commit.spans {
                        let stored = table.0.get(&0).copied();
                        assert!(stored.is_none_or(|s| s == span.first), "fenced: {commit:?}");
                        table.0.insert(0, span.next);
                    }
                    table.1.extend(&commit.pieces);
                    ledger.committed(&commit).unwrap();
                }
            }
        }
        for target in ["a", "b", "c"] {
            let expected: Vec<i64> = (0..RECORDS).filter(|&o| target_of(o) == target).collect();
            assert_eq!(
                tables[target].1, expected,
                "target {target}, killed after {kill_after} commits"
            );
        }
    }
}
