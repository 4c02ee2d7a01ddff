//! A watch over a process that is started otherwise.

use std::io::Write;
use std::process::{Child, Command, Stdio};

/// Kills a process when our end of its input is closed, unless a line has come before. It outlives a
/// signal to the whole group, which ends the test alone.
const WATCH: &str = r#"trap '' HUP INT TERM; read -r over || kill -9 "$1""#;

/// Kills a process as `kill -9` does when the process that holds this is gone, however that ends. To
/// be dropped once the watched one is waited for: from then on its id may be another's.
#[derive(Debug)]
pub struct Watch {
    shell: Child,
}

impl Watch {
    /// Watches over the process of this id, a child of this one that was not waited for yet.
    ///
    /// # Panics
    /// There is no shell.
    pub fn over(pid: u32) -> Self {
        let shell = Command::new("sh")
            .args(["-c", WATCH, "sh", &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        Self { shell }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(mut input) = self.shell.stdin.take() {
            // A shell that is gone kills nobody.
            let _ = input.write_all(b"over\n");
        }
        // It ends with the line, or has ended.
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn what_is_watched_dies_when_nobody_holds_the_watch_any_more() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let mut watch = Watch::over(child.id());
        // As it is closed when the process that holds it is killed.
        drop(watch.shell.stdin.take());
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }

    #[test]
    fn what_is_watched_goes_on_when_the_watch_is_over() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        drop(Watch::over(child.id()));
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success(), "it ends by itself");
    }
}
