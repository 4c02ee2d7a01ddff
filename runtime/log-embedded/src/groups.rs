//! Consumer groups, coordinated in memory: one process owns the log, so no protocol is needed.

use crate::assignment::{MemberId, assign};
use crate::keys::{self, Place};
use crate::prepare::Put;
use crate::topics::{Topic, lock, offset_bytes};
use jackfield_log::{LogError, Start, TopicPartition};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use uuid::Uuid;

/// What a member is to be told, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Assigned(Vec<Place>),
    Revoking(Vec<Place>),
    Lost(Vec<Place>),
}

/// One group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) members: BTreeMap<MemberId, Member>,
    /// Who reads what; a partition that is being given up counts as read until it is released.
    owners: BTreeMap<Place, MemberId>,
    pub(crate) committed: HashMap<Place, i64>,
    /// Where a partition stood for the group when it was first assigned.
    begins: HashMap<Place, i64>,
    /// Topics that a member of this process ever subscribed to.
    attached: BTreeSet<Uuid>,
}

#[derive(Debug)]
pub(crate) struct Member {
    name: String,
    topics: Vec<Arc<Topic>>,
    start: Start,
    revoking: BTreeSet<Place>,
    told: VecDeque<Told>,
    /// What its join brought is told, be it nothing.
    answered: bool,
    wake: Arc<Notify>,
}

impl Group {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: Mutex::default(),
        }
    }

    /// Joins; a member of the same name is replaced.
    pub(crate) fn join(
        &self,
        id: MemberId,
        name: &str,
        topics: Vec<Arc<Topic>>,
        start: Start,
        wake: Arc<Notify>,
    ) {
        let mut state = lock(&self.state);
        let replaced: Vec<MemberId> = state
            .members
            .iter()
            .filter(|(_, m)| m.name == name)
            .map(|(id, _)| *id)
            .collect();
        replaced.into_iter().for_each(|id| state.remove(id));
        state
            .attached
            .extend(topics.iter().map(|topic| topic.info.id));
        let member = Member {
            name: name.to_owned(),
            topics,
            start,
            revoking: BTreeSet::new(),
            told: VecDeque::new(),
            answered: false,
            wake,
        };
        state.members.insert(id, member);
        state.rebalance();
    }

    /// Leaves, and gives everything back.
    pub(crate) fn leave(&self, id: MemberId) {
        let mut state = lock(&self.state);
        state.remove(id);
        state.rebalance();
    }

    /// The next thing that a member is to be told.
    pub(crate) fn told(&self, id: MemberId) -> Result<Option<Told>, LogError> {
        let mut state = lock(&self.state);
        Ok(state.member(&self.name, id)?.told.pop_front())
    }

    /// Whether the member is one still.
    pub(crate) fn check(&self, id: MemberId) -> Result<(), LogError> {
        lock(&self.state).member(&self.name, id).map(|_| ())
    }

    /// A member lets go of partitions.
    pub(crate) fn release(&self, id: MemberId, places: &[Place]) -> Result<(), LogError> {
        let mut state = lock(&self.state);
        let member = state.member(&self.name, id)?;
        for place in places {
            member.revoking.remove(place);
        }
        for place in places {
            if state.owners.get(place) == Some(&id) {
                state.owners.remove(place);
            }
        }
        state.rebalance();
        Ok(())
    }

    /// Records that a member wants are gone: it loses the partition, and gets it anew.
    pub(crate) fn lose(&self, id: MemberId, place: Place) -> Result<(), LogError> {
        let mut state = lock(&self.state);
        state.member(&self.name, id)?.tell(Told::Lost(vec![place]));
        self.forget_owner(&mut state, place);
        state.rebalance();
        Ok(())
    }

    fn forget_owner(&self, state: &mut State, place: Place) {
        if let Some(owner) = state.owners.remove(&place)
            && let Some(member) = state.members.get_mut(&owner)
        {
            member.revoking.remove(&place);
        }
    }

    /// Offsets that a member commits, as writes.
    pub(crate) fn commit(
        &self,
        id: MemberId,
        offsets: &[(Place, i64)],
    ) -> Result<Vec<Put>, LogError> {
        let mut state = lock(&self.state);
        state.member(&self.name, id)?;
        if let Some((place, _)) = offsets
            .iter()
            .find(|(place, _)| state.owners.get(place) != Some(&id))
        {
            return Err(LogError::Fenced(format!(
                "partition {} of the topic with id {} is not this member's of the group {} any more",
                place.partition, place.topic, self.name
            )));
        }
        let mut puts = Vec::with_capacity(offsets.len());
        for (place, offset) in offsets {
            puts.push((
                keys::group_offset(&self.name, *place)?,
                Some(offset_bytes(*offset)),
            ));
        }
        // A write that fails ends the log for this process, so nobody builds upon these.
        state.committed.extend(offsets.iter().copied());
        Ok(puts)
    }

    /// What the group committed last.
    pub(crate) fn committed(&self, place: Place) -> Option<i64> {
        lock(&self.state).committed.get(&place).copied()
    }

    /// The lowest offset of a partition that the group may still read, if it reads the topic.
    /// `orphans`: count groups too that nobody has joined since the log was opened.
    fn wants(&self, place: Place, orphans: bool) -> Option<i64> {
        let state = lock(&self.state);
        let attached = state.attached.contains(&place.topic);
        match state.committed.get(&place) {
            Some(committed) if attached || orphans => Some(*committed),
            Some(_) => None,
            // Joined, and not read yet: all that there was when it was assigned.
            None if attached => Some(state.begins.get(&place).copied().unwrap_or(0)),
            None => None,
        }
    }

    /// The topic is deleted: its offsets mean nothing any more. Gives their keys.
    fn forget_topic(&self, topic: Uuid) -> Vec<Vec<u8>> {
        let mut state = lock(&self.state);
        state.attached.remove(&topic);
        state.begins.retain(|place, _| place.topic != topic);
        let gone: Vec<Place> = state
            .committed
            .keys()
            .filter(|place| place.topic == topic)
            .copied()
            .collect();
        for place in &gone {
            state.committed.remove(place);
        }
        // A group's name was short enough when its offsets were written.
        gone.into_iter()
            .filter_map(|place| keys::group_offset(&self.name, place).ok())
            .collect()
    }

    fn rebalance(&self) {
        lock(&self.state).rebalance();
    }
}

impl State {
    fn member(&mut self, group: &str, id: MemberId) -> Result<&mut Member, LogError> {
        self.members.get_mut(&id).ok_or_else(|| {
            LogError::Fenced(format!(
                "another member joined the group {group} under this one's name"
            ))
        })
    }

    fn remove(&mut self, id: MemberId) {
        if let Some(member) = self.members.remove(&id) {
            self.owners.retain(|_, owner| *owner != id);
            // It learns that it was replaced.
            member.wake.notify_one();
        }
    }

    fn rebalance(&mut self) {
        self.take_deleted();
        let wanted = self
            .members
            .iter()
            .map(|(id, member)| (*id, member.places()))
            .collect();
        let assigned = assign(&wanted, &self.owners);
        let shares: BTreeSet<MemberId> = assigned.values().copied().collect();
        let mut given: BTreeMap<MemberId, Vec<Place>> = BTreeMap::new();
        let mut taken: BTreeMap<MemberId, Vec<Place>> = BTreeMap::new();
        for (place, member) in assigned {
            match self.owners.get(&place) {
                Some(owner) if *owner == member => {}
                Some(owner) => taken.entry(*owner).or_default().push(place),
                None => given.entry(member).or_default().push(place),
            }
        }
        for (id, mut places) in taken {
            if let Some(member) = self.members.get_mut(&id) {
                places.retain(|place| member.revoking.insert(*place));
                member.tell(Told::Revoking(places));
            }
        }
        for (id, places) in given {
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            for place in &places {
                self.owners.insert(*place, id);
                let begin = member.begin(*place);
                self.begins.entry(*place).or_insert(begin);
            }
            member.tell(Told::Assigned(places));
        }
        // One that has a share is answered once others have released it.
        for (id, member) in &mut self.members {
            if !shares.contains(id) {
                member.tell(Told::Assigned(Vec::new()));
            }
        }
    }

    fn take_deleted(&mut self) {
        for (id, member) in &mut self.members {
            let deleted = |topic: &Arc<Topic>| topic.is_deleted();
            let gone: BTreeSet<Uuid> = member
                .topics
                .iter()
                .filter(|t| deleted(t))
                .map(|t| t.info.id)
                .collect();
            member.topics.retain(|topic| !deleted(topic));
            let lost: Vec<Place> = self
                .owners
                .iter()
                .filter(|(place, owner)| *owner == id && gone.contains(&place.topic))
                .map(|(place, _)| *place)
                .collect();
            for place in &lost {
                member.revoking.remove(place);
            }
            self.owners.retain(|place, _| !lost.contains(place));
            member.tell(Told::Lost(lost));
        }
    }
}

impl Member {
    fn places(&self) -> BTreeSet<Place> {
        self.topics
            .iter()
            .flat_map(|topic| (0..topic.info.partitions).map(|partition| topic.place(partition)))
            .collect()
    }

    fn begin(&self, place: Place) -> i64 {
        let topic = self
            .topics
            .iter()
            .find(|topic| topic.info.id == place.topic);
        let ends = topic
            .and_then(|topic| topic.partition(place.partition).ok())
            .map(|p| p.ends);
        let ends = ends.unwrap_or_default();
        match self.start {
            Start::Earliest => ends.start,
            Start::Latest => ends.end,
        }
    }

    fn tell(&mut self, told: Told) {
        let places = match &told {
            Told::Assigned(places) | Told::Revoking(places) | Told::Lost(places) => places,
        };
        // The first answer to its join is told, be it nothing.
        let answers = !self.answered && matches!(told, Told::Assigned(_));
        if answers || !places.is_empty() {
            self.answered |= answers;
            self.told.push_back(told);
            self.wake.notify_one();
        }
    }
}

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Groups(Mutex<HashMap<String, Arc<Group>>>);

impl Groups {
    /// Groups with what they committed, as it is on the disk.
    pub(crate) fn load(entries: Vec<(String, Place, i64)>) -> Self {
        let mut groups: HashMap<String, Arc<Group>> = HashMap::new();
        for (name, place, offset) in entries {
            let group = groups
                .entry(name.clone())
                .or_insert_with(|| Arc::new(Group::new(&name)));
            lock(&group.state).committed.insert(place, offset);
        }
        Self(Mutex::new(groups))
    }

    pub(crate) fn get(&self, name: &str) -> Arc<Group> {
        let mut groups = lock(&self.0);
        Arc::clone(
            groups
                .entry(name.to_owned())
                .or_insert_with(|| Arc::new(Group::new(name))),
        )
    }

    fn all(&self) -> Vec<Arc<Group>> {
        lock(&self.0).values().cloned().collect()
    }

    /// The lowest offset of a partition that a group may still read. See [`Group::wants`].
    pub(crate) fn lowest_wanted(&self, place: Place, orphans: bool) -> Option<i64> {
        self.all()
            .iter()
            .filter_map(|group| group.wants(place, orphans))
            .min()
    }

    pub(crate) fn forget_topic(&self, topic: Uuid) -> Vec<Vec<u8>> {
        self.all()
            .iter()
            .flat_map(|group| group.forget_topic(topic))
            .collect()
    }

    /// A topic was deleted: whoever reads it loses its partitions.
    pub(crate) fn rebalance_all(&self) {
        self.all().iter().for_each(|group| group.rebalance());
    }
}

/// The partition as the port names it.
pub(crate) fn named(topics: &[Arc<Topic>], place: Place) -> Option<(Arc<Topic>, TopicPartition)> {
    let topic = topics.iter().find(|topic| topic.info.id == place.topic)?;
    let at = TopicPartition::new(Arc::clone(&topic.info.name), place.partition);
    Some((Arc::clone(topic), at))
}
