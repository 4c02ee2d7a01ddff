//! `jackfield tail`: records as lines of JSON.

use super::admin::{Admin, AskError, answered};
use super::args::TailArgs;
use super::say;
use crate::exit::Exit;
use crate::start_error::StartError;
use reqwest::Response;

/// Longest line: a record's value has less than a batch, and JSON may take several times as much.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(crate) async fn tail(args: TailArgs) -> Result<Exit, StartError> {
    let admin = Admin::at(&args.at)?;
    let mut url = admin.path(&["topics", &args.topic, "records"]);
    let mut query = url.query_pairs_mut();
    query.append_pair("from", &args.from.to_string());
    for partition in &args.partition {
        query.append_pair("partition", &partition.to_string());
    }
    if let Some(number) = args.number {
        query.append_pair("number", &number.to_string());
    }
    if args.follow {
        query.append_pair("follow", "true");
    }
    drop(query);
    // There is no end to wait for when it follows: only a connection is waited for.
    let answer = admin.send(admin.http.get(url)).await?;
    if !answer.status().is_success() {
        let status = answer.status().as_u16();
        let body = answered(answer).await?;
        return Err(StartError::Ask(AskError::Answer {
            status,
            body: body.to_string(),
        }));
    }
    Ok(show(answer).await?)
}

async fn show(mut answer: Response) -> Result<Exit, AskError> {
    let mut lines = Lines::default();
    loop {
        let chunk = answer.chunk().await.map_err(|error| AskError::Answer {
            status: 200,
            body: format!("it broke off: {error}"),
        })?;
        let Some(chunk) = chunk else {
            return Ok(Exit::Clean);
        };
        for line in lines.take(&chunk)? {
            if let Some(why) = failure(&line) {
                eprintln!("jackfield: {why}");
                return Ok(Exit::Failed);
            }
            if !say(&line) {
                return Ok(Exit::Clean);
            }
        }
    }
}

/// The last line, where the server could not go on.
fn failure(line: &str) -> Option<String> {
    let rest = line.strip_prefix("{\"error\":")?;
    let message = serde_json::from_str(rest.strip_suffix('}')?);
    message.ok()
}

/// Lines out of pieces. Empty ones only say that the connection is alive.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn take(&mut self, piece: &[u8]) -> Result<Vec<String>, AskError> {
        self.0.extend_from_slice(piece);
        let Some(end) = self.0.iter().rposition(|byte| *byte == b'\n') else {
            if self.0.len() > LINE_BYTES_MAX {
                return Err(AskError::Answer {
                    status: 200,
                    body: format!("a line of more than {LINE_BYTES_MAX} bytes"),
                });
            }
            return Ok(Vec::new());
        };
        let rest = self.0.split_off(end + 1);
        let whole = std::mem::replace(&mut self.0, rest);
        let lines = whole.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        Ok(lines
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_and_empty_ones_left_out() {
        let mut lines = Lines::default();
        assert!(lines.take(b"{\"a\"").unwrap().is_empty());
        assert_eq!(lines.take(b":1}\n\n{}\n{").unwrap(), ["{\"a\":1}", "{}"]);
        assert_eq!(lines.take(b"}\n").unwrap(), ["{}"]);
        assert!(lines.take(&vec![b'x'; LINE_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn only_a_failure_is_one() {
        let why = failure(r#"{"error":"the topic t was \"deleted\""}"#);
        assert_eq!(why.as_deref(), Some("the topic t was \"deleted\""));
        assert_eq!(failure(r#"{"partition":0}"#), None);
    }
}
