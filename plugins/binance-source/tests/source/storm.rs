//! Whatever happens, what is settled is the recording: each trade once, in order.

use std::time::Duration;

use jackfield_sdk::batch::event::RequestError;

use crate::common::{RestFault, Run, from_the_beginning, settings, tape};

/// Random faults on every side, at random moments, and random ends of the instance and of the
/// process, with random amounts of unsettled work.
fn storm(seed: u64, trades: usize) {
    let tape = tape(trades);
    let more = format!(
        r#"{}, "silence-after": "1s", "reconnect-after": "20s""#,
        from_the_beginning(&tape)
    );
    let mut run = Run::seeded(tape, &settings(&["BTCUSDT", "ETHUSDT"], &more), seed);
    let host = run.bench.host.clone();
    let mut ticks = 0u64;
    loop {
        run.exchange.tick(&host);
        ticks += 1;
        // Polls and settlements fall where they may.
        for _ in 0..run.exchange.random(4) {
            run.bench.poll().unwrap();
        }
        while run.exchange.random(3) != 0 && run.bench.settle() {}

        let storming = !run.exchange.played() && ticks < 60_000;
        if storming {
            fault(&mut run);
        } else if run.exchange.played() && run.bench.landed("trade").len() >= trades {
            break;
        }
        assert!(
            ticks < 300_000,
            "no progress; seed {seed}; {:?}",
            run.bench.host.lines()
        );
    }
    run.run_for(5000);
    run.assert_landed_is_the_tape();
    assert!(
        run.gaps().is_empty() && run.bench.rejected().is_empty(),
        "seed {seed}"
    );
}

fn fault(run: &mut Run) {
    let host = run.bench.host.clone();
    let wires = run.exchange.live_wires();
    let wire = wires
        .get(run.exchange.random(wires.len().max(1) as u64) as usize)
        .copied();
    let amount = 1 + run.exchange.random(20) as u32;
    match (run.exchange.random(1500), wire) {
        (0..=3, Some(id)) => run.exchange.drop_wire(&host, id, 1006),
        (4..=5, Some(id)) => run.exchange.wires.get_mut(&id).unwrap().half_open = true,
        (6..=7, Some(id)) => {
            run.exchange
                .wires
                .get_mut(&id)
                .unwrap()
                .silent
                .insert("btcusdt@trade".to_owned());
        }
        (8..=9, Some(id)) => {
            let lead = Duration::from_millis(run.exchange.random(2000));
            run.exchange.shut_down(&host, id, lead);
        }
        (10..=13, Some(id)) => run.exchange.wires.get_mut(&id).unwrap().skip = amount,
        (14..=17, Some(id)) => run.exchange.wires.get_mut(&id).unwrap().duplicate = amount,
        (18..=21, Some(id)) => run.exchange.wires.get_mut(&id).unwrap().reverse = amount,
        (22..=24, _) => run.bench.trap().unwrap(),
        (25..=26, _) => run.kill(),
        (27, _) => run.bench.swap().unwrap(),
        (28..=29, _) => run.exchange.refuse = !run.exchange.refuse,
        (30, _) => {
            let retry = ("retry-after", (amount / 5).to_string());
            run.exchange
                .rest_faults
                .push_back(RestFault::Status(429, vec![retry], ""));
        }
        (31..=32, _) => {
            run.exchange
                .rest_faults
                .push_back(RestFault::Status(502, vec![], "<html>"))
        }
        (33, _) => run
            .exchange
            .rest_faults
            .push_back(RestFault::Failed(RequestError::Timeout)),
        (34, _) => run.exchange.rest_faults.push_back(RestFault::Lost),
        (_, _) => {}
    }
    if !run.exchange.refuse || run.exchange.random(100) > 0 {
        return;
    }
    run.exchange.refuse = false;
}

#[test]
fn the_settled_set_is_the_recording() {
    let seeds: Vec<u64> = match std::env::var("STORM_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=40).collect(),
    };
    for seed in seeds {
        println!("STORM_SEED={seed}");
        storm(seed, 700);
    }
}
