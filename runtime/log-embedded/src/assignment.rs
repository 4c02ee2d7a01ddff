//! Which member of a group reads which partition.

use crate::keys::Place;
use std::collections::{BTreeMap, BTreeSet};

/// A member's number.
pub(crate) type MemberId = u64;

/// Spreads partitions evenly, and lets as many as possible stay where they are (as Kafka's
/// cooperative-sticky assignor does).
///
/// `wanted`: the partitions that each member subscribes to; `current`: who reads what now.
pub(crate) fn assign(
    wanted: &BTreeMap<MemberId, BTreeSet<Place>>,
    current: &BTreeMap<Place, MemberId>,
) -> BTreeMap<Place, MemberId> {
    let partitions: BTreeSet<Place> = wanted.values().flatten().copied().collect();
    let mut load: BTreeMap<MemberId, usize> = wanted.keys().map(|id| (*id, 0)).collect();
    if load.is_empty() {
        return BTreeMap::new();
    }
    let least = partitions.len() / load.len();
    // So many members read one more than the others.
    let mut extra = partitions.len() % load.len();
    let mut assigned = BTreeMap::new();
    for (place, member) in current {
        let wants = wanted
            .get(member)
            .is_some_and(|places| places.contains(place));
        let Some(reads) = load.get_mut(member).filter(|_| wants) else {
            continue;
        };
        let keeps = *reads < least || *reads == least && extra > 0;
        if keeps {
            extra -= usize::from(*reads == least);
            *reads += 1;
            assigned.insert(*place, *member);
        }
    }
    for place in partitions {
        if assigned.contains_key(&place) {
            continue;
        }
        let subscribed = wanted
            .iter()
            .filter(|(_, places)| places.contains(&place))
            .map(|(id, _)| *id);
        if let Some(member) = subscribed.min_by_key(|id| load.get(id).copied().unwrap_or_default())
        {
            *load.entry(member).or_default() += 1;
            assigned.insert(place, member);
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn places(partitions: i32) -> BTreeSet<Place> {
        let place = |partition| Place {
            topic: Uuid::nil(),
            partition,
        };
        (0..partitions).map(place).collect()
    }

    fn wanted(members: &[MemberId], partitions: i32) -> BTreeMap<MemberId, BTreeSet<Place>> {
        members.iter().map(|id| (*id, places(partitions))).collect()
    }

    #[test]
    fn nobody_reads_what_it_did_not_ask_for() {
        let mut asked = wanted(&[1], 2);
        asked.insert(2, BTreeSet::new());
        let assigned = assign(&asked, &BTreeMap::new());
        assert_eq!(assigned.values().copied().collect::<Vec<_>>(), [1, 1]);
    }

    proptest! {
        /// Every partition has one reader, loads differ by at most one, and as many partitions
        /// stay as that allows.
        #[test]
        fn even_and_sticky(before in 1u64..6, joins in 0u64..4, leaves in 0u64..3, partitions in 0i32..20) {
            let old: Vec<MemberId> = (0..before).collect();
            let current = assign(&wanted(&old, partitions), &BTreeMap::new());
            let new: Vec<MemberId> = (leaves.min(before)..before + joins).collect();
            let assigned = assign(&wanted(&new, partitions), &current);
            if new.is_empty() {
                prop_assert!(assigned.is_empty());
                return Ok(());
            }
            prop_assert_eq!(assigned.len(), partitions as usize);
            let mut load: BTreeMap<MemberId, usize> = new.iter().map(|id| (*id, 0)).collect();
            assigned.values().for_each(|id| *load.get_mut(id).unwrap() += 1);
            let (least, most) = (load.values().min().unwrap(), load.values().max().unwrap());
            prop_assert!(most - least <= 1);
            // Who leaves nothing to do keeps its load up to the even share.
            let moved = current.iter().filter(|(place, id)| new.contains(id) && assigned[*place] != **id).count();
            let share = partitions as usize / new.len();
            let over: usize = new.iter().map(|id| {
                let had = current.values().filter(|other| *other == id).count();
                had.saturating_sub(share)
            }).sum();
            prop_assert!(moved <= over);
        }
    }
}
