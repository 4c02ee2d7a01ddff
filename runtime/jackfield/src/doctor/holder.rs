//! Which process has a file open, or listens on a port: as far as this user may know.

use procfs::process::{FDTarget, Process};
use std::net::SocketAddr;
use std::path::Path;

/// A process for people, such as `jackfield run connectors.yaml (process 123)`.
pub(super) fn of_file(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    holding(|target| matches!(target, FDTarget::Path(open) if *open == path))
}

/// The same for whoever listens at an address.
pub(super) fn of_port(address: SocketAddr) -> Option<String> {
    let of = |all: procfs::ProcResult<Vec<procfs::net::TcpNetEntry>>| all.unwrap_or_default();
    let mut entries = of(procfs::net::tcp());
    entries.extend(of(procfs::net::tcp6()));
    let listens = |it: &&procfs::net::TcpNetEntry| {
        it.state == procfs::net::TcpState::Listen
            && it.local_address.port() == address.port()
            && (it.local_address.ip() == address.ip() || it.local_address.ip().is_unspecified())
    };
    let inode = entries.iter().find(listens)?.inode;
    holding(|target| matches!(target, FDTarget::Socket(socket) if *socket == inode))
}

/// The first process with such a descriptor. Those of other users are not shown to everyone.
fn holding(is_it: impl Fn(&FDTarget) -> bool) -> Option<String> {
    let processes = procfs::process::all_processes().ok()?;
    processes.flatten().find_map(|process| {
        let mut descriptors = process.fd().ok()?;
        descriptors
            .any(|fd| fd.is_ok_and(|fd| is_it(&fd.target)))
            .then(|| shown(&process))
    })
}

/// Longest command line that is shown, characters: arguments may be anything.
const COMMAND_CHARS_MAX: usize = 60;

fn shown(process: &Process) -> String {
    let words = process.cmdline().unwrap_or_default();
    // A program's arguments may hold secrets: the first is what it does, as a rule.
    let words: Vec<&str> = words.iter().take(2).map(String::as_str).collect();
    let command: String = words.join(" ").chars().take(COMMAND_CHARS_MAX).collect();
    format!("{command} (process {})", process.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_holds_what_it_opened() {
        let own = format!("(process {})", std::process::id());
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(of_file(file.path()).unwrap().ends_with(&own));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(of_port(address).unwrap().ends_with(&own));
        drop(listener);
        assert_eq!(of_port(address), None);
    }
}
