//! Members of a group that share its partitions while they come and go.

use super::Fixture;
use super::corner::{Corner, all, append_ok, at, is_sentinel};
use super::members::{Leave, Members};
use super::records::{of, output, texts};
use super::seeds::seeded;
use crate::{Append, TopicInfo};
use rand::Rng;

/// All partitions of a group's topics are assigned, and each member has its share.
pub async fn members_share_partitions(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (one, two) = (corner.topic("one", 4).await, corner.topic("two", 4).await);
    let mut members = Members::of(&corner, "group", &[&one, &two]);
    members.join("a").await;
    members
        .until("one has all", |it| it.shared_by(&["a"], 8))
        .await;
    members.join("b").await;
    members
        .until("two share", |it| it.shared_by(&["a", "b"], 8))
        .await;
    members.join("c").await;
    members
        .until("three share", |it| it.shared_by(&["a", "b", "c"], 8))
        .await;
    members.end().await;
}

/// However members come and go, a partition is never two members' at once: it is another's only
/// after it was released. (The members' books fail otherwise.)
pub async fn a_partition_has_one_member_at_a_time(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 6).await;
    let mut members = Members::of(&corner, "group", &[&topic]);
    // Several changes at once, with what they lead to not waited for in between.
    members.join("a").await;
    members.join("b").await;
    members.join("c").await;
    members
        .until("three share", |it| it.shared_by(&["a", "b", "c"], 6))
        .await;
    members.leave("a", Leave::Close).await;
    members.join("d").await;
    members.leave("c", Leave::Drop).await;
    members
        .until("two share", |it| it.shared_by(&["b", "d"], 6))
        .await;
    members.join("a").await;
    members.leave("b", Leave::Close).await;
    members.join("c").await;
    members.leave("d", Leave::Drop).await;
    members
        .until("two others share", |it| it.shared_by(&["a", "c"], 6))
        .await;
    members.end().await;
}

/// A partition that is revoked delivers nothing more and is nobody else's until it is released,
/// while the member's other partitions go on.
pub async fn a_revoking_partition_delivers_nothing(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 4).await;
    let mut writer = corner.writer("0").await;
    append_ok(&mut writer, to_all(&topic, "before")).await;
    let mut first = corner.join("group", "first", &[&topic]).await;
    let assigned = first.until_held(&all(&[&topic])).await;
    first.seek_to_committed(&assigned);
    let mut others = Members::of(&corner, "group", &[&topic]);
    first.meanwhile(others.join("second")).await;
    first.until_revoking().await;
    // From here on the follower fails when one that is revoked delivers.
    append_ok(&mut writer, to_all(&topic, "after")).await;
    first
        .until("the others deliver", |it| {
            let revoking = it.revoking();
            let mut kept = it.held();
            kept.retain(|at| !revoking.contains(at));
            assert!(!kept.is_empty(), "a second member needs not all");
            kept.iter().all(|at| texts(it.seen(at)).contains(&"after"))
        })
        .await;
    let revoking = first.revoking();
    for at in &revoking {
        assert_eq!(others.books().owner(at), None, "{at} is not released yet");
    }
    first.release(&revoking).await;
    first
        .meanwhile(others.until("the second has what was released", |it| {
            revoking.iter().all(|at| it.owner(at) == Some("second"))
        }))
        .await;
    first.close().await;
    others.end().await;
}

/// A member that was told that a partition is its own can seek it as long as it was not told
/// otherwise, though another wants it by now.
pub async fn a_seek_is_taken_until_a_revocation_is_told(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut writer = corner.writer("0").await;
    append_ok(&mut writer, to_all(&topic, "a")).await;
    let mut first = corner.join("group", "first", &[&topic]).await;
    let assigned = first.until_held(&all(&[&topic])).await;
    let mut others = Members::of(&corner, "group", &[&topic]);
    others.join("second").await;
    first.seek_to_committed(&assigned);
    let released = first.until_revoking().await;
    first.release(&released).await;
    let kept = first.held();
    for at in &kept {
        assert_eq!(texts(first.read(at, 1).await), ["a"]);
    }
    first
        .meanwhile(others.until("the second has its share", |it| it.owned_by("second") > 0))
        .await;
    first.close().await;
    others.end().await;
}

/// A partition that was released and is assigned again delivers nothing until it is sought again.
pub async fn a_partition_that_comes_back_waits_for_a_seek(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut writer = corner.writer("0").await;
    append_ok(&mut writer, to_all(&topic, "before")).await;
    let partitions = all(&[&topic]);
    let mut first = corner.join("group", "first", &[&topic]).await;
    let assigned = first.until_held(&partitions).await;
    first.seek_to_committed(&assigned);
    for at in &partitions {
        first.read(at, 1).await;
    }
    let mut others = Members::of(&corner, "group", &[&topic]);
    first.meanwhile(others.join("second")).await;
    let released = first.until_revoking().await;
    first.release(&released).await;
    first
        .meanwhile(others.until("the second has its share", |it| it.owned_by("second") > 0))
        .await;
    first.meanwhile(others.end()).await;
    first.until_held(&partitions).await;
    append_ok(&mut writer, to_all(&topic, "after")).await;
    // The follower fails when one that was not sought delivers.
    let (kept, back): (Vec<_>, Vec<_>) =
        partitions.iter().partition(|at| first.stands(at).is_some());
    for at in kept {
        assert_eq!(texts(first.read(at, 2).await), ["before", "after"], "{at}");
    }
    assert!(!back.is_empty(), "what came back stands nowhere");
    for at in back {
        first.take(at);
        let start = corner.ends(&topic, at.partition).await.start;
        first.seek(at, start);
        assert_eq!(texts(first.read(at, 2).await), ["before", "after"], "{at}");
    }
    first.close().await;
}

/// A member all of whose partitions are paused is told that another wants some.
pub async fn revocations_reach_a_paused_reader(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut writer = corner.writer("0").await;
    append_ok(&mut writer, to_all(&topic, "a")).await;
    let partitions = all(&[&topic]);
    let mut first = corner.join("group", "first", &[&topic]).await;
    let assigned = first.until_held(&partitions).await;
    first.pause(&partitions);
    first.seek_to_committed(&assigned);
    let mut others = Members::of(&corner, "group", &[&topic]);
    first.meanwhile(others.join("second")).await;
    let released = first.until_revoking().await;
    first.release(&released).await;
    first
        .meanwhile(others.until("the second has its share", |it| it.owned_by("second") > 0))
        .await;
    let kept = first.held();
    first.resume(&kept);
    for at in &kept {
        assert_eq!(texts(first.read(at, 1).await), ["a"]);
    }
    first.close().await;
    others.end().await;
}

/// When each member commits what it read before it lets go of a partition, all of them together
/// have read each record once, in order, however they come and go meanwhile.
pub async fn a_handover_loses_and_doubles_nothing(fixture: &dyn Fixture) {
    const PARTITIONS: i32 = 4;
    const MEMBERS: [&str; 3] = ["a", "b", "c"];
    const CHANGES: usize = 10;
    let mut random = seeded();
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", PARTITIONS).await;
    let mut writer = corner.writer("0").await;
    let mut written = Vec::new();
    let mut burst = async |burst: usize| {
        for n in 0..20 {
            let text = format!("{burst}.{n}");
            append_ok(&mut writer, to_all(&topic, &text)).await;
            written.push(text);
        }
    };
    let mut members = Members::of(&corner, "group", &[&topic]);
    let mut here = vec![MEMBERS[0]];
    burst(0).await;
    members.join(here[0]).await;
    for change in 1..=CHANGES {
        // Each change meets records that are still to be read, some meet one that is not over.
        burst(change).await;
        let away: Vec<&str> = MEMBERS
            .into_iter()
            .filter(|member| !here.contains(member))
            .collect();
        let joins = here.len() == 1 || (!away.is_empty() && random.random());
        if joins {
            let member = away[random.random_range(0..away.len())];
            members.join(member).await;
            here.push(member);
        } else {
            let member = here.swap_remove(random.random_range(0..here.len()));
            let how = match random.random() {
                true => Leave::Close,
                false => Leave::Drop,
            };
            members.leave(member, how).await;
        }
        if random.random() {
            members
                .until("those that are here share", |it| it.shared_by(&here, 4))
                .await;
        }
    }
    burst(CHANGES + 1).await;
    corner.append_sentinels(&topic).await;
    members
        .until("all is read", |it| {
            let last = it.done.iter().filter(|(_, seen)| is_sentinel(seen));
            last.count() >= usize::try_from(PARTITIONS).unwrap()
        })
        .await;
    members
        .until("those that are here share again", |it| {
            it.shared_by(&here, 4)
        })
        .await;
    for partition in 0..PARTITIONS {
        let books = members.books();
        let own = books
            .done
            .iter()
            .filter(|(of, _)| *of == at(&topic, partition));
        let mut read: Vec<&str> = own.map(|(_, seen)| seen.text()).collect();
        assert!(read.pop().is_some_and(|last| last.starts_with("sentinel")));
        assert_eq!(read, written, "{partition}");
    }
    members.end().await;
}

/// One record with that text for each partition.
fn to_all(topic: &TopicInfo, text: &str) -> Append {
    of((0..topic.partitions).map(|partition| output(topic, partition, &[text])))
}
