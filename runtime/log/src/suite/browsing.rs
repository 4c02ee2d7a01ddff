//! Looking at records without a group: for people.

use super::Fixture;
use super::bounds::within;
use super::corner::{Corner, append_ok, at};
use super::records::{Seen, now_ms, of, output, texts, unpack};
use crate::{Browser, LogError, TopicInfo};
use std::collections::BTreeMap;

async fn browser(corner: &Corner, topic: &TopicInfo, from: &[(i32, i64)]) -> Box<dyn Browser> {
    let opening = corner.log.browse(&topic.name, from);
    within("a browser opens", opening).await.unwrap()
}

/// Looks until so many records were given, by partition.
async fn read(browser: &mut Box<dyn Browser>, count: usize) -> BTreeMap<i32, Vec<Seen>> {
    within("records are given", async {
        let mut seen: BTreeMap<i32, Vec<Seen>> = BTreeMap::new();
        while seen.values().map(Vec::len).sum::<usize>() < count {
            let Some(fetched) = browser.next().await.unwrap() else {
                continue;
            };
            let records = unpack(&fetched.batch);
            assert!(fetched.position <= records[0].offset);
            assert!(records[records.len() - 1].offset < fetched.next_offset);
            assert!(fetched.next_offset <= fetched.end);
            let of = seen.entry(fetched.at.partition).or_default();
            of.extend(records);
        }
        seen
    })
    .await
}

/// All that was appended, in order within each partition, and then what is appended later; where
/// there is nothing it says so instead of waiting for ever.
pub async fn a_browser_gives_each_record_once_and_waits_for_more(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut browser = browser(&corner, &topic, &[(0, 0), (1, 0)]).await;
    let nothing = within("it does not wait for ever", browser.next()).await;
    assert_eq!(nothing, Ok(None));
    let mut writer = corner.writer("0").await;
    let both = [
        output(&topic, 0, &["a", "b"]),
        output(&topic, 1, &["c"]),
        output(&topic, 0, &["d"]),
    ];
    append_ok(&mut writer, of(both)).await;
    let seen = read(&mut browser, 4).await;
    assert_eq!(texts(&seen[&0]), ["a", "b", "d"]);
    assert_eq!(texts(&seen[&1]), ["c"]);
    append_ok(&mut writer, of([output(&topic, 1, &["e"])])).await;
    assert_eq!(texts(&read(&mut browser, 1).await[&1]), ["e"]);
}

/// Inside of a batch too, and an offset outside of the partition is its nearer end.
pub async fn a_browser_begins_where_it_is_told(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut writer = corner.writer("0").await;
    let both = [
        output(&topic, 0, &["a", "b", "c"]),
        output(&topic, 1, &["d"]),
    ];
    let first = append_ok(&mut writer, of(both)).await.first_offsets;
    let mut inside = browser(&corner, &topic, &[(0, first[0] + 1)]).await;
    assert_eq!(texts(&read(&mut inside, 2).await[&0]), ["b", "c"]);
    let mut outside = browser(&corner, &topic, &[(0, i64::MAX), (1, -7)]).await;
    assert_eq!(texts(&read(&mut outside, 1).await[&1]), ["d"]);
    append_ok(&mut writer, of([output(&topic, 0, &["e"])])).await;
    assert_eq!(texts(&read(&mut outside, 1).await[&0]), ["e"]);
}

/// Groups keep what they committed, and read what a browser has read too.
pub async fn a_browser_is_in_nobodys_way(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let mut writer = corner.writer("0").await;
    append_ok(&mut writer, of([output(&topic, 0, &["a", "b"])])).await;
    let (mut follower, assigned) = corner.join_alone("group", &[&topic]).await;
    follower.seek(&at(&topic, 0), assigned[0].ends.start);
    let mut browser = browser(&corner, &topic, &[(0, 0)]).await;
    assert_eq!(texts(&read(&mut browser, 2).await[&0]), ["a", "b"]);
    assert_eq!(texts(follower.read(&at(&topic, 0), 2).await), ["a", "b"]);
    follower.close().await;
    drop(browser);
    let (follower, assigned) = corner.join_alone("group", &[&topic]).await;
    assert_eq!(assigned[0].committed, None);
    follower.close().await;
}

/// A time before all records finds the first, one after all of them the end.
pub async fn a_record_is_found_by_its_time(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let mut writer = corner.writer("0").await;
    let before = now_ms();
    let mut firsts = Vec::new();
    for text in ["a", "b", "c", "d", "e"] {
        let appended = append_ok(&mut writer, of([output(&topic, 0, &[text])])).await;
        firsts.push((now_ms(), appended.first_offsets[0]));
        // The next one has a later time.
        while now_ms() <= firsts[firsts.len() - 1].0 {
            tokio::task::yield_now().await;
        }
    }
    let found = async |time_ms: i64| {
        let asked = corner.log.offset_at(&topic.name, 0, time_ms);
        within("an offset is found", asked).await.unwrap()
    };
    assert_eq!(found(before).await, firsts[0].1);
    for pair in firsts.windows(2) {
        // A mark that the log keeps between records has a time too.
        let (found, before) = (found(pair[0].0 + 1).await, pair[0].1);
        assert!(before < found && found <= pair[1].1, "{found}: {pair:?}");
    }
    assert_eq!(found(now_ms() + 1).await, corner.ends(&topic, 0).await.end);
}

/// Neither a topic nor a partition that is not there.
pub async fn browsing_nowhere_is_rejected(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    for (name, partition) in [(&*corner.name("none"), 0), (&*topic.name, 1)] {
        let opened = within("it is refused", corner.log.browse(name, &[(partition, 0)])).await;
        assert!(matches!(opened.err(), Some(LogError::Rejected(_))));
        let bytes = within("it is refused", corner.log.bytes(name, partition)).await;
        assert!(matches!(bytes, Err(LogError::Rejected(_))), "{bytes:?}");
    }
}
