//! Which partition a record goes to, and a batch split by it.

use crate::failures::Failed;
use bytes::Bytes;
use jackfield_batch::{Batch, BatchWriter, Limits};
use jackfield_core::Consequence;

/// Kafka's murmur2, as the Java client's default partitioner computes it
/// (`org.apache.kafka.common.utils.Utils.murmur2`).
pub(crate) fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    // Java's length is an i32 and wraps the same way.
    let mut h = SEED ^ data.len() as u32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> R;
        k = k.wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    let tail = chunks.remainder();
    for (i, byte) in tail.iter().enumerate() {
        h ^= u32::from(*byte) << (8 * i);
    }
    if !tail.is_empty() {
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

/// The partition of a key among `partitions`.
pub(crate) fn partition_of(key: &[u8], partitions: i32) -> i32 {
    let positive = (murmur2(key) & 0x7fff_ffff) as i32;
    positive % partitions.max(1)
}

/// Splits batches by partition. Records without a key go to one partition a batch, each batch to
/// the next one.
#[derive(Debug)]
pub(crate) struct Partitioner {
    partitions: i32,
    next_keyless: i32,
    writers: Vec<BatchWriter>,
}

impl Partitioner {
    pub(crate) fn new(partitions: i32) -> Self {
        let partitions = partitions.max(1);
        Self {
            partitions,
            next_keyless: 0,
            writers: (0..partitions).map(|_| BatchWriter::new()).collect(),
        }
    }

    /// The batch's records by partition, in order within each. A batch whose records all go to
    /// one partition is passed on as it is.
    pub(crate) fn split(&mut self, bytes: Vec<u8>) -> Result<Vec<(i32, Bytes)>, Failed> {
        let batch = Batch::parse(&bytes, &Limits::default()).map_err(|e| {
            Failed::new(
                "poll",
                Consequence::Replace,
                format!("malformed batch: {e}"),
            )
        })?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let keyless = self.next_keyless;
        self.next_keyless = (keyless + 1) % self.partitions;
        let partitions = self.partitions;
        let partition =
            |key: Option<&[u8]>| key.map_or(keyless, |key| partition_of(key, partitions));
        let first = partition(batch.record(0).key);
        if partitions == 1 || one_partition(&batch, first, partition) {
            return Ok(vec![(first, Bytes::from(bytes))]);
        }
        for record in batch.iter() {
            let at = partition(record.key);
            // A part is never larger than the whole, which was within the limits.
            self.writers[at as usize].push(&record).map_err(|full| {
                Failed::new("poll", Consequence::Replace, format!("split batch: {full}"))
            })?;
        }
        let parts = self
            .writers
            .iter_mut()
            .enumerate()
            .filter(|(_, writer)| !writer.is_empty());
        Ok(parts
            .map(|(at, writer)| (at as i32, Bytes::from(writer.finish())))
            .collect())
    }
}

fn one_partition(batch: &Batch<'_>, first: i32, partition: impl Fn(Option<&[u8]>) -> i32) -> bool {
    let mut last_key: Option<&[u8]> = batch.record(0).key;
    batch.iter().all(|record| {
        // Runs of one key are common: compare keys before hashing them.
        if record.key == last_key {
            return true;
        }
        last_key = record.key;
        partition(record.key) == first
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_batch::{Headers, Record, SchemaIds};

    #[test]
    fn hashes_as_the_java_client_does() {
        // org.apache.kafka.common.utils.UtilsTest.testMurmur2
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
        }
    }

    fn batch(keys: &[Option<&str>]) -> Vec<u8> {
        let mut writer = BatchWriter::new();
        for (i, key) in keys.iter().enumerate() {
            let value = (i as u32).to_le_bytes();
            let record = Record {
                timestamp_ms: i as i64,
                key: key.map(str::as_bytes),
                value: Some(&value),
                schemas: SchemaIds { value: 7, key: 0 },
                headers: Headers::default(),
            };
            writer.push(&record).unwrap();
        }
        writer.finish()
    }

    #[test]
    fn splits_by_key_and_keeps_the_order() {
        let keys: Vec<Option<&str>> = (0..300)
            .map(|i| Some(["a", "b", "c", "d", "e"][i % 5]))
            .collect();
        let parts = Partitioner::new(4).split(batch(&keys)).unwrap();
        let mut seen = 0;
        for (at, bytes) in &parts {
            let part = Batch::parse(bytes, &Limits::default()).unwrap();
            let mut last = -1;
            for record in part.iter() {
                assert_eq!(partition_of(record.key.unwrap(), 4), *at);
                assert!(record.timestamp_ms > last);
                last = record.timestamp_ms;
                assert_eq!(record.schemas.value, 7);
                seen += 1;
            }
        }
        assert_eq!(seen, 300);
        assert!(parts.len() > 1);
    }

    #[test]
    fn keyless_batches_take_turns() {
        let mut partitioner = Partitioner::new(3);
        let turns: Vec<i32> = (0..6)
            .map(|_| partitioner.split(batch(&[None, None])).unwrap()[0].0)
            .collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    }
}
