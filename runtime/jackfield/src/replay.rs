//! `jackfield plugin replay`: a source on a recording.

use crate::cli::ReplayArgs;
use crate::client::AskError;
use crate::exit::Exit;
use crate::plugins;
use crate::start_error::StartError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jackfield_batch::Record;
use jackfield_pipeline::{Compared, Comparison};
use jackfield_plugin::CallLimits;
use jackfield_plugin::recording::{self, RecordSeen, Recording, ReplayEnd, Replayed};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// A record as it is written, one a line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    feed: String,
    timestamp_ms: i64,
    key: Option<String>,
    value: Option<String>,
}

pub(crate) async fn replay(args: ReplayArgs) -> Result<Exit, StartError> {
    let recording = read(&args.recording)?;
    let settings = settings(&args, &recording)?;
    let scratch = tempfile::tempdir().map_err(StartError::Scratch)?;
    let engine = plugins::engine(scratch.path())?;
    let plugin = engine
        .load(&args.file, None)
        .await
        .map_err(|error| StartError::Plugin {
            plugin: args.file.display().to_string(),
            error,
        })?;
    let mut output = args.output.as_deref().map(create).transpose()?;
    let mut written = Ok(());
    let mut comparison = Comparison::default();
    let limits = CallLimits::default();
    let replayed = recording::replay(&plugin, &limits, &recording, &settings, &mut |seen| {
        if written.is_ok()
            && let Some(output) = &mut output
        {
            written = write(output, &seen);
        }
        if args.expect.is_some() {
            comparison.new_record(seen.feed, &seen.record);
        }
    })
    .await;
    if let Some(path) = &args.output {
        let flushed = output.as_mut().map_or(Ok(()), Write::flush);
        written
            .and(flushed)
            .map_err(|error| unwritable(path, &error))?;
    }
    let compared = match &args.expect {
        Some(path) => {
            expect(path, &mut comparison)?;
            Some(comparison.finish_all())
        }
        None => None,
    };
    show(&recording, &replayed, compared.as_ref(), args.json);
    let failed = replayed
        .ends
        .values()
        .any(|end| matches!(end, ReplayEnd::Failed { .. }));
    Ok(match compared {
        _ if failed => Exit::ShadowFailed,
        Some(compared) if compared.differs() => Exit::Differs,
        Some(_) | None => Exit::Clean,
    })
}

fn read(path: &Path) -> Result<Recording, AskError> {
    let bytes = std::fs::read(path).map_err(|e| unreadable(path, &e))?;
    let recording = Recording::read(bytes.into()).map_err(|e| no_recording(path, &e))?;
    if recording.opening.kind != "source" {
        let what = format!(
            "it is of a {}, a source's is replayed",
            recording.opening.kind
        );
        return Err(no_recording(path, &what));
    }
    Ok(recording)
}

fn settings(args: &ReplayArgs, recording: &Recording) -> Result<String, AskError> {
    match &args.settings {
        Some(path) => std::fs::read_to_string(path).map_err(|e| unreadable(path, &e)),
        None if recording.opening.masked => Err(no_recording(
            &args.recording,
            &"its settings had secrets, which are masked: give the settings by `--settings`",
        )),
        None => Ok(recording.opening.settings.to_string()),
    }
}

fn create(path: &Path) -> Result<BufWriter<File>, AskError> {
    let file = File::create(path).map_err(|e| unwritable(path, &e))?;
    Ok(BufWriter::new(file))
}

fn write(output: &mut BufWriter<File>, seen: &RecordSeen<'_>) -> std::io::Result<()> {
    let line = Line {
        feed: seen.feed.to_owned(),
        timestamp_ms: seen.record.timestamp_ms,
        key: seen.record.key.map(|it| STANDARD.encode(it)),
        value: seen.record.value.map(|it| STANDARD.encode(it)),
    };
    serde_json::to_writer(&mut *output, &line)?;
    output.write_all(b"\n")
}

fn expect(path: &Path, comparison: &mut Comparison) -> Result<(), AskError> {
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|e| unreadable(path, &e))?;
        let line: Line = serde_json::from_str(&line).map_err(|e| unreadable(path, &e))?;
        let decode = |text: Option<String>| text.map(|it| STANDARD.decode(it)).transpose();
        let key = decode(line.key).map_err(|e| unreadable(path, &e))?;
        let value = decode(line.value).map_err(|e| unreadable(path, &e))?;
        let record = Record {
            timestamp_ms: line.timestamp_ms,
            key: key.as_deref(),
            value: value.as_deref(),
            ..Record::default()
        };
        comparison.running_record(&line.feed, &record);
    }
    Ok(())
}

fn show(recording: &Recording, replayed: &Replayed, compared: Option<&Compared>, json: bool) {
    let seconds = replayed.took.as_secs_f64();
    let rate = replayed.counts.records as f64 / seconds.max(f64::EPSILON);
    if json {
        let feeds: serde_json::Map<String, Value> = replayed
            .feeds
            .iter()
            .map(|(name, it)| {
                let tally = json!({ "records": it.records, "bytes": it.bytes });
                (name.clone(), tally)
            })
            .collect();
        let ends: serde_json::Map<String, Value> = replayed
            .ends
            .iter()
            .map(|(slot, end)| (slot.clone(), json!(word(end))))
            .collect();
        let shown = json!({
            "connector": recording.opening.connector,
            "recorded-end": recording.end,
            "events": replayed.events,
            "polls": replayed.polls,
            "records": replayed.counts.records,
            "rejected": replayed.rejected,
            "duplicates": replayed.counts.duplicates,
            "missing": replayed.counts.missing,
            "recovered": replayed.counts.recovered,
            "seconds": seconds,
            "feeds": feeds,
            "ends": ends,
            "digest": replayed.digest(),
            "compared": compared,
        });
        println!("{shown}");
        return;
    }
    println!(
        "{}: {} events in {} polls, {seconds:.3} s, {rate:.0} records/s",
        recording.opening.connector, replayed.events, replayed.polls
    );
    for (name, it) in &replayed.feeds {
        println!("  {name}: {} records, {} bytes", it.records, it.bytes);
    }
    println!(
        "  {} rejected, {} duplicates, {} missing, {} recovered",
        replayed.rejected,
        replayed.counts.duplicates,
        replayed.counts.missing,
        replayed.counts.recovered
    );
    for (slot, end) in &replayed.ends {
        println!("  slot {slot}: {}", word(end));
    }
    if let Some(end) = &recording.end {
        println!("  the recording ends since {end}");
    }
    println!("digest {}", replayed.digest());
    if let Some(compared) = compared {
        println!("{}", json!(compared));
    }
}

fn word(end: &ReplayEnd) -> String {
    match end {
        ReplayEnd::Exhausted => "took every event".to_owned(),
        ReplayEnd::Ended => "ended by itself".to_owned(),
        ReplayEnd::Failed { call, error } => format!("{call} failed: {error}"),
    }
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> AskError {
    AskError::Unreadable {
        path: path.display().to_string(),
        reason: error.to_string(),
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> AskError {
    AskError::Unwritable {
        path: path.display().to_string(),
        reason: error.to_string(),
    }
}

fn no_recording(path: &Path, reason: &dyn std::fmt::Display) -> AskError {
    AskError::Recording {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}
