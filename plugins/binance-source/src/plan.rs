//! Symbols into slots.

use std::collections::BTreeMap;

use jackfield_sdk::source::Slot;
use serde::{Deserialize, Serialize};

/// The settings of a slot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Share {
    /// Its symbols, in the order of the settings.
    pub symbols: Vec<String>,
}

/// FNV-1a: the same on every machine and in every version, since slots are recognised by it.
pub(crate) fn stable_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// At most `slots_max` slots. A symbol's slot depends on nothing but its name and `slots_max`.
pub(crate) fn slots(symbols: &[String], slots_max: u32) -> Vec<Slot> {
    let mut shares: BTreeMap<u64, Share> = BTreeMap::new();
    for symbol in symbols {
        let slot = stable_hash(symbol) % u64::from(slots_max.max(1));
        shares
            .entry(slot)
            .or_insert_with(|| Share {
                symbols: Vec::new(),
            })
            .symbols
            .push(symbol.clone());
    }
    let slot = |(id, share): (u64, Share)| Slot {
        id: id.to_string(),
        settings: serde_json::to_string(&share).expect("strings are JSON"),
    };
    shares.into_iter().map(slot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("S{i}USDT")).collect()
    }

    fn share(slot: &Slot) -> Vec<String> {
        serde_json::from_str::<Share>(&slot.settings)
            .unwrap()
            .symbols
    }

    #[test]
    fn every_symbol_is_in_one_slot() {
        for slots_max in [0, 1, 2, 7, 5000] {
            let slots = slots(&symbols(300), slots_max);
            assert!(slots.len() <= slots_max.max(1) as usize);
            let mut all: Vec<String> = slots.iter().flat_map(share).collect();
            all.sort();
            let mut expected = symbols(300);
            expected.sort();
            assert_eq!(all, expected);
        }
    }

    #[test]
    fn a_symbol_stays_when_others_come_and_go() {
        let home = |all: &[String], symbol: &str| {
            let slots = slots(all, 4);
            slots
                .into_iter()
                .find(|it| share(it).iter().any(|s| s == symbol))
                .unwrap()
                .id
        };
        let (few, many) = (symbols(3), symbols(100));
        for symbol in &few {
            assert_eq!(home(&few, symbol), home(&many, symbol));
        }
        assert_eq!(
            stable_hash("BTCUSDT"),
            0x3e64_0dbf_f523_962c,
            "slots keep their ids over versions"
        );
    }
}
