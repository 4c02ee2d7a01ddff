//! What is measured of each candidate.

use crate::candidates::{Candidate, Engine, Key, key, open};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const RECORD_BYTES: f64 = 200.0;

fn fresh(dir: &Path) -> tempfile::TempDir {
    tempfile::tempdir_in(dir).unwrap()
}

/// A value that doesn't compress.
fn value(bytes: usize) -> Arc<[u8]> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

fn group(first: u64, n: usize, value: &Arc<[u8]>) -> Vec<(Key, Arc<[u8]>)> {
    (first..first + n as u64)
        .map(|offset| (key(offset), Arc::clone(value)))
        .collect()
}

/// Bytes allocated below a folder.
fn disk(dir: &Path) -> f64 {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.metadata() {
                Ok(m) if m.is_dir() => folders.push(entry.path()),
                Ok(m) => sum += m.blocks() * 512,
                Err(_) => {} // deleted by a compaction meanwhile
            }
        }
    }
    sum as f64
}

/// Bytes this process caused to be written, and its CPU seconds.
fn usage() -> (f64, f64) {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let written = io
        .lines()
        .find_map(|l| l.strip_prefix("write_bytes: "))
        .unwrap()
        .parse::<f64>()
        .unwrap();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    (written, ticks / 100.0)
}

pub(crate) fn throughput(
    kind: Candidate,
    dir: &Path,
    batch: usize,
    per_sync: usize,
    bytes: usize,
) -> Vec<f64> {
    let dir = fresh(dir);
    let engine = open(kind, dir.path()).unwrap();
    let value = value(batch);
    let (before, cpu) = usage();
    let began = Instant::now();
    let mut offset = 0;
    while (offset as usize) * batch < bytes {
        engine
            .commit(&group(offset, per_sync, &value), &[])
            .unwrap();
        offset += per_sync as u64;
    }
    let seconds = began.elapsed().as_secs_f64();
    let appended = offset as f64 * batch as f64;
    let disk = disk(dir.path());
    drop(engine);
    let (after, cpu_after) = usage();
    vec![
        appended / RECORD_BYTES / seconds,
        appended / 1e6 / seconds,
        disk / appended,
        (after - before) / appended,
        (cpu_after - cpu) / (appended / 1e9),
    ]
}

fn quantile(times: &mut [Duration], q: f64) -> f64 {
    times.sort();
    times[((times.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e6
}

pub(crate) fn latency(kind: Candidate, dir: &Path, batch: usize, n: usize) -> Vec<f64> {
    let dir = fresh(dir);
    let engine: Arc<dyn Engine> = open(kind, dir.path()).unwrap().into();
    let value = value(batch);
    let end = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (engine, end, stop) = (Arc::clone(&engine), Arc::clone(&end), Arc::clone(&stop));
        move || {
            let (mut at, mut times) = (0, Vec::new());
            while !stop.load(Ordering::Acquire) {
                if at < end.load(Ordering::Acquire) {
                    let began = Instant::now();
                    assert!(engine.get(&key(at)).unwrap().is_some());
                    times.push(began.elapsed());
                    at += 1;
                } else {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
            times
        }
    });
    let mut times = Vec::with_capacity(n);
    for offset in 0..n as u64 {
        let began = Instant::now();
        engine.commit(&group(offset, 1, &value), &[]).unwrap();
        times.push(began.elapsed());
        end.store(offset + 1, Ordering::Release);
    }
    stop.store(true, Ordering::Release);
    let mut reads = reader.join().unwrap();
    vec![
        quantile(&mut times, 0.5),
        quantile(&mut times, 0.99),
        quantile(&mut reads, 0.5),
        quantile(&mut reads, 0.99),
    ]
}

pub(crate) fn retention(kind: Candidate, dir: &Path, bytes: usize) -> Vec<f64> {
    const BATCH: usize = 200_000;
    const KEPT: u64 = 320;
    let dir = fresh(dir);
    let engine = open(kind, dir.path()).unwrap();
    let value = value(BATCH);
    let (before, _) = usage();
    let began = Instant::now();
    let (mut offset, mut start) = (0, 0);
    while (offset as usize) * BATCH < bytes {
        let deletes: Vec<Key> = (start..u64::saturating_sub(offset, KEPT))
            .map(key)
            .collect();
        start += deletes.len() as u64;
        engine.commit(&group(offset, 16, &value), &deletes).unwrap();
        offset += 16;
    }
    let seconds = began.elapsed().as_secs_f64();
    let appended = offset as f64 * BATCH as f64;
    let kept = disk(dir.path()) / (KEPT as f64 * BATCH as f64);
    drop(engine);
    vec![
        appended / RECORD_BYTES / seconds,
        kept,
        (usage().0 - before) / appended,
    ]
}

/// Appends for ever, saying how far it came.
pub(crate) fn child(task: &str) {
    let (kind, dir) = task.split_once(':').unwrap();
    let kind = *crate::KINDS
        .iter()
        .find(|k| format!("{k:?}") == kind)
        .unwrap();
    let engine = open(kind, Path::new(dir)).unwrap();
    let value = value(200_000);
    for round in 0_u64.. {
        engine.commit(&group(round * 16, 16, &value), &[]).unwrap();
        std::fs::write(
            Path::new(dir).join("acknowledged"),
            (round * 16 + 16).to_string(),
        )
        .unwrap();
    }
}

pub(crate) fn reopen(kind: Candidate, dir: &Path, bytes: usize) -> Vec<f64> {
    let dir = fresh(dir);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(
            "ENGINES_CHILD",
            format!("{kind:?}:{}", dir.path().display()),
        )
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let acknowledged = || -> u64 {
        let mut text = String::new();
        if let Ok(mut file) = std::fs::File::open(dir.path().join("acknowledged")) {
            file.read_to_string(&mut text).unwrap();
        }
        text.parse().unwrap_or(0)
    };
    while (acknowledged() as usize) * 200_000 < bytes {
        std::thread::sleep(Duration::from_millis(20));
    }
    let resident = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let resident = resident
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .unwrap()
        .trim()
        .trim_end_matches(" kB");
    let resident = resident.parse::<f64>().unwrap() / 1024.0;
    child.kill().unwrap();
    child.wait().unwrap();
    let acknowledged = acknowledged();
    let began = Instant::now();
    let engine = open(kind, dir.path()).unwrap();
    let opened = began.elapsed().as_secs_f64() * 1e3;
    let held = engine.count();
    let lost = (0..acknowledged)
        .filter(|offset| engine.get(&key(*offset)).unwrap().is_none())
        .count();
    vec![opened, held as f64 * 200_000.0 / 1e9, lost as f64, resident]
}

/// Says what happens on a small file system that fills, and after space was made.
pub(crate) fn full_disk(kind: Candidate, dir: &Path) -> String {
    let dir = fresh(dir);
    let path = dir.path().to_str().unwrap().to_owned();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=160m", "tmpfs", &path])
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        return "not measured: mounting a tmpfs is not permitted".into();
    }
    let ballast = dir.path().join("ballast");
    std::fs::write(&ballast, vec![1; 60 << 20]).unwrap();
    let engine = open(kind, &dir.path().join("log")).unwrap();
    let value = value(200_000);
    let mut offset = 0;
    let refused = loop {
        match engine.commit(&group(offset, 4, &value), &[]) {
            Ok(()) => offset += 4,
            Err(e) => break e,
        }
    };
    let readable = (0..offset)
        .filter(|o| engine.get(&key(*o)).is_ok_and(|value| value.is_some()))
        .count();
    drop(engine);
    let full = match open(kind, &dir.path().join("log")) {
        Ok(engine) => {
            let held = (0..offset)
                .filter(|o| engine.get(&key(*o)).is_ok_and(|value| value.is_some()))
                .count();
            format!("reopened while full: {held} readable")
        }
        Err(e) => format!("not to be opened while full: {e}"),
    };
    std::fs::remove_file(&ballast).unwrap();
    let began = Instant::now();
    let reopened = open(kind, &dir.path().join("log"));
    let after = match &reopened {
        Ok(engine) => {
            let held = engine.count();
            let lost = (0..offset)
                .filter(|o| !engine.get(&key(*o)).is_ok_and(|value| value.is_some()))
                .count();
            let appended = engine.commit(&group(held, 4, &value), &[]).is_ok();
            format!(
                "reopened in {:?} with {held} held, {lost} lost, appends again: {appended}",
                began.elapsed()
            )
        }
        Err(e) => format!("could not be reopened: {e}"),
    };
    drop(reopened);
    Command::new("umount").arg(&path).status().unwrap();
    format!(
        "{offset} batches, then {refused}; {readable} readable then; {full}; with space again {after}"
    )
}
