//! `jackfield record`: takes what a connector is given from a running process into a file.

use crate::cli::RecordArgs;
use crate::client::{Admin, AskError, read};
use crate::exit::Exit;
use crate::start_error::StartError;
use crate::swap::{at, refused};
use serde_json::json;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// Beyond what was asked for, until the last of it has come.
const LATER: Duration = Duration::from_secs(120);

pub(crate) async fn record(args: RecordArgs) -> Result<Exit, StartError> {
    let admin = Admin::near(&args.at, args.address)?;
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
        return refused(status, &body, args.at.json);
    }
    let path = args
        .out
        .unwrap_or_else(|| PathBuf::from(format!("{}.jfrc", args.connector)));
    let mut file = made(&path).await.map_err(|e| unwritable(&path, &e))?;
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
    let (connector, file) = (args.connector, path.display().to_string());
    match args.at.json {
        true => {
            let recorded = json!({ "connector": connector, "file": file, "bytes": bytes });
            println!("{recorded}");
        }
        false => println!("{connector}: {bytes} bytes in {file}"),
    }
    Ok(Exit::Clean)
}

/// A new file that only its owner reads: a recording holds all that was received and sent.
async fn made(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let options = options.write(true).create_new(true).mode(0o600);
    match options.open(path).await {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(io::Error::new(
            ErrorKind::AlreadyExists,
            "it is there already: move it away, or name another file by `--out`",
        )),
        opened => opened,
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> AskError {
    AskError::Unwritable {
        path: path.display().to_string(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn a_recording_is_its_owners_and_takes_no_other_files_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jfrc");
        drop(made(&path).await.unwrap());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let refused = made(&path).await.unwrap_err();
        assert!(unwritable(&path, &refused).to_string().contains("--out"));
    }
}
