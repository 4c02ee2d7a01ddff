//! `jackfield record`: takes what a connector is given from a running process into a file.

use crate::cli::RecordArgs;
use crate::client::{Admin, AskError, read};
use crate::exit::Exit;
use crate::start_error::StartError;
use crate::swap::{at, refused};
use jackfield_config::Config;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Beyond what was asked for, until the last of it has come.
const LATER: Duration = Duration::from_secs(120);

pub(crate) async fn record(args: RecordArgs) -> Result<Exit, StartError> {
    let config = Config::load(&args.config)?;
    let admin = Admin::of(&config, args.address)?;
    let mut url = at(&admin, &args.connector, "record");
    let mut query = url.query_pairs_mut();
    query.append_pair("for-ms", &args.span.as_millis().to_string());
    if let Some(bytes_max) = args.bytes_max {
        query.append_pair("bytes-max", &bytes_max.to_string());
    }
    drop(query);
    let request = admin.http.post(url).timeout(args.span + LATER);
    let mut answer = admin.send(request).await?;
    if !answer.status().is_success() {
        let (status, body) = read(answer).await?;
        return refused(status, &body, false);
    }
    let path = args
        .out
        .unwrap_or_else(|| PathBuf::from(format!("{}.jfrc", args.connector)));
    let mut file = tokio::fs::File::create(&path)
        .await
        .map_err(|e| unwritable(&path, &e))?;
    let mut bytes = 0;
    loop {
        let chunk = answer.chunk().await.map_err(|error| AskError::Answer {
            status: answer.status().as_u16(),
            body: format!("the recording was broken off: {error}"),
        })?;
        let Some(chunk) = chunk else {
            break;
        };
        bytes += chunk.len() as u64;
        file.write_all(&chunk)
            .await
            .map_err(|e| unwritable(&path, &e))?;
    }
    file.sync_all().await.map_err(|e| unwritable(&path, &e))?;
    println!("{}: {bytes} bytes in {}", args.connector, path.display());
    Ok(Exit::Clean)
}

fn unwritable(path: &Path, error: &std::io::Error) -> AskError {
    AskError::Unwritable {
        path: path.display().to_string(),
        reason: error.to_string(),
    }
}
