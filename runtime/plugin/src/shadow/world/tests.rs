//! Whichever of the two asks first, and what only one of them asks for.

use super::requests::ANSWERS_BYTES_MAX;
use super::*;
use jackfield_batch::event::Response;

const T: fn(u64) -> Duration = Duration::from_secs;

fn answer(id: u64, note: &[u8]) -> Item {
    let body = Response {
        status: 200,
        note,
        headers: vec![("a", "b")],
        body: b"yes",
    };
    event(id, Kind::Response, body.encode())
}

fn event(id: u64, kind: Kind, body: Vec<u8>) -> Item {
    Item::Event(Heard {
        number: 1,
        kind,
        id,
        received_ns: 0,
        body: body.into(),
    })
}

fn asked(id: u64) -> Item {
    Item::Asked {
        id,
        request: "GET x".into(),
    }
}

fn opened(id: u64) -> Item {
    Item::Opened {
        id,
        name: "n".into(),
        url: "ws://x".into(),
    }
}

#[test]
fn a_request_is_answered_from_the_running_ones_whoever_asked_first() {
    for first in [true, false] {
        let mut world = World::default();
        let own = if first {
            let own = world.ask("GET x".into(), T(9), b"mine".to_vec(), T(0));
            world.take(asked(7), T(1));
            world.take(answer(7, b"yours"), T(2));
            own
        } else {
            world.take(asked(7), T(1));
            world.take(answer(7, b"yours"), T(2));
            assert!(world.ready.is_empty(), "nobody asked yet");
            world.ask("GET x".into(), T(9), b"mine".to_vec(), T(3))
        };
        let heard = world.ready.pop_front().unwrap();
        let response = Response::parse(&heard.body).unwrap();
        assert_eq!(
            (heard.id, response.note, response.body),
            (own, &b"mine"[..], &b"yes"[..])
        );
        assert_eq!(world.calls.report(T(9), 9).same, 1);
    }
}

#[test]
fn answers_that_the_new_one_may_still_ask_for_are_bounded_in_bytes() {
    let mut world = World::default();
    for id in 1..=16 {
        world.take(asked(id), T(0));
        world.take(event(id, Kind::Response, vec![0; 8 * 1024 * 1024]), T(0));
        assert!(world.answers_bytes() <= ANSWERS_BYTES_MAX);
    }
    let kept: Vec<u64> = world.answers.iter().map(|it| it.id).collect();
    assert_eq!(kept, [14, 15, 16], "the newest");
}

#[test]
fn what_only_the_new_one_asks_for_ends_in_a_timeout() {
    let mut world = World::default();
    let own = world.ask("GET x".into(), T(9), b"mine".to_vec(), T(0));
    let socket = world.open("n", "ws://x", T(0));
    assert_eq!(world.next_due(), Some(T(9)));
    world.give_up(T(8), 0);
    assert!(world.ready.is_empty());
    world.give_up(T(10), 0);
    let failed = world.ready.pop_front().unwrap();
    let parsed = RequestFailed::parse(&failed.body).unwrap();
    assert_eq!((failed.id, parsed.error), (own, RequestError::Timeout));
    let closed = world.ready.pop_front().unwrap();
    assert_eq!((closed.id, closed.kind), (socket, Kind::Closed));
    assert_eq!(world.calls.report(T(9), 9).different.len(), 2);
}

#[test]
fn a_connection_of_both_brings_its_frames_under_the_new_ones_id() {
    for first in [true, false] {
        let mut world = World::default();
        let own = first.then(|| world.open("n", "ws://x", T(0)));
        world.take(opened(7), T(1));
        world.take(event(7, Kind::Opened, Vec::new()), T(1));
        world.take(event(7, Kind::Text, b"frame".to_vec()), T(1));
        let own = own.unwrap_or_else(|| world.open("n", "ws://x", T(2)));
        let ids: Vec<u64> = world.ready.iter().map(|it| it.id).collect();
        assert_eq!(ids, [own, own]);
        assert_eq!(world.next_due(), None);
    }
}

#[test]
fn a_connection_that_the_new_one_never_asks_for_is_left_out() {
    let mut world = World::default();
    world.take(opened(7), T(0));
    world.take(event(7, Kind::Text, b"frame".to_vec()), T(1));
    world.give_up(T(60), 0);
    world.take(event(7, Kind::Text, b"frame".to_vec()), T(61));
    assert!(world.ready.is_empty());
    assert_eq!(world.parked_bytes, 0);
}
