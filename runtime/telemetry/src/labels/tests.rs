use super::*;

#[test]
fn names_and_pairs_agree() {
    fn check(labels: &impl Labels) {
        fn names<L: Labels>(_: &L) -> &'static [&'static str] {
            L::NAMES
        }
        let pairs = labels.pairs();
        let keys: Vec<&str> = pairs.iter().map(|pair| pair.key.as_str()).collect();
        assert_eq!(keys, names(labels));
    }
    let connector = ConnectorLabels {
        pipeline: "p".into(),
        connector: "c".into(),
        kind: Kind::Sink,
    };
    check(&ProcessLabels);
    check(&BuildLabels { version: "1" });
    check(&connector);
    check(&CallLabels {
        connector: connector.clone(),
        call: Call::Put,
    });
    check(&ErrorLabels {
        connector: connector.clone(),
        consequence: Consequence::Fail,
    });
    check(&TopicLabels {
        connector: connector.clone(),
        topic: "t".into(),
    });
    check(&SwapLabels {
        connector: connector.clone(),
        outcome: SwapOutcome::Kept,
    });
    check(&ReloadLabels {
        outcome: ReloadOutcome::Applied,
    });
    check(&ExportLabels {
        signal: Signal::Traces,
        outcome: ExportOutcome::Failed,
    });
    check(&StateLabels {
        connector,
        state: State::Running,
    });
}

#[test]
fn every_consequence_has_its_own_name_and_place() {
    for (i, consequence) in CONSEQUENCES.into_iter().enumerate() {
        assert_eq!(consequence_index(consequence), i);
        assert_eq!(
            CONSEQUENCES
                .iter()
                .filter(|c| c.as_str() == consequence.as_str())
                .count(),
            1
        );
    }
}
