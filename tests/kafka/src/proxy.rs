//! A connection that can be cut: bytes pass between clients and a server, or don't.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Passes connections on to a port of loopback until it is cut, and again when it is mended.
pub struct Proxy {
    port: u16,
    target: Arc<AtomicU16>,
    valve: Arc<Valve>,
}

/// Whom bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Whoever has connected.
    Client,
    /// What lies behind.
    Server,
}

/// What becomes of the bytes that were waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They are held up, and all others with them: a [`cut`](Proxy::cut).
    Cut,
    /// Their connection ends before them; others go on.
    Ended,
}

/// Waits for bytes. They are looked for in what comes from now on.
struct Trap {
    from: Side,
    bytes: Vec<u8>,
    fate: Fate,
}

#[derive(Default)]
struct Valve {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    position: Position,
    /// None: nothing is waited for, or it has come.
    trap: Option<Trap>,
}

/// What becomes of bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Position {
    #[default]
    Open,
    /// They are held up.
    Held,
    /// Their connection ends.
    Shut,
}

impl Proxy {
    /// Listens on a free port. Its threads live as long as the process.
    ///
    /// # Panics
    /// There is no free port.
    pub fn listen() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let valve = Arc::new(Valve::default());
        let target = Arc::new(AtomicU16::new(0));
        let (to, held) = (Arc::clone(&target), Arc::clone(&valve));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if held.position() == Position::Shut {
                    continue;
                }
                let to = (Ipv4Addr::LOCALHOST, to.load(Ordering::Acquire));
                let Ok(server) = TcpStream::connect(to) else {
                    continue;
                };
                pass_both_ways(client, server, &held);
            }
        });
        Self {
            port,
            target,
            valve,
        }
    }

    /// Where connections go that are made from now on.
    pub fn to(&self, port: u16) {
        self.target.store(port, Ordering::Release);
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Nothing passes any more, and no connection ends: as when a cable is drawn.
    pub fn cut(&self) {
        self.valve.set(Position::Held);
    }

    /// Each connection ends when something is to pass it, a new one at once: as when a broker is
    /// gone, which forgets nothing meanwhile.
    pub fn shut(&self) {
        self.valve.set(Position::Shut);
    }

    /// What was held up passes, and everything after it.
    pub fn mend(&self) {
        self.valve.set(Position::Open);
    }

    /// Once, when such bytes come: what becomes of them.
    ///
    /// # Panics
    /// There are none to wait for.
    pub fn when(&self, from: Side, bytes: &[u8], fate: Fate) {
        assert!(!bytes.is_empty(), "no bytes to wait for");
        let bytes = bytes.to_vec();
        self.valve.lock().trap = Some(Trap { from, bytes, fate });
    }

    /// Whether the bytes of the last [`when`](Self::when) have come.
    pub fn has_met(&self) -> bool {
        self.valve.lock().trap.is_none()
    }
}

impl Valve {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, position: Position) {
        self.lock().position = position;
        self.changed.notify_all();
    }

    fn position(&self) -> Position {
        self.lock().position
    }

    /// Waits while bytes are held up; false: their connection ends. `before` is what of the bytes
    /// before them may be the beginning of what is waited for.
    fn pass(&self, from: Side, before: &mut Vec<u8>, bytes: &[u8]) -> bool {
        let mut state = self.lock();
        match &state.trap {
            Some(trap) if trap.from == from => {
                before.extend_from_slice(bytes);
                if before.windows(trap.bytes.len()).any(|it| it == trap.bytes) {
                    before.clear();
                    let fate = trap.fate;
                    state.trap = None;
                    match fate {
                        Fate::Cut => state.position = Position::Held,
                        Fate::Ended => return false,
                    }
                } else {
                    let kept = before.len().min(trap.bytes.len() - 1);
                    before.drain(..before.len() - kept);
                }
            }
            Some(_) | None => before.clear(),
        }
        let held = |state: &mut State| state.position == Position::Held;
        let state = self.changed.wait_while(state, held);
        state.unwrap_or_else(PoisonError::into_inner).position == Position::Open
    }
}

fn pass_both_ways(client: TcpStream, server: TcpStream, valve: &Arc<Valve>) {
    let ends = (client.try_clone(), server.try_clone());
    if let (Ok(client_again), Ok(server_again)) = ends {
        let (one, two) = (Arc::clone(valve), Arc::clone(valve));
        std::thread::spawn(move || pass(Side::Client, client, server, &one));
        std::thread::spawn(move || pass(Side::Server, server_again, client_again, &two));
    }
}

fn pass(whose: Side, mut from: TcpStream, mut to: TcpStream, valve: &Valve) {
    let mut buffer = vec![0; 64 * 1024];
    let mut before = Vec::new();
    loop {
        let read = from.read(&mut buffer).unwrap_or(0);
        let passes = valve.pass(whose, &mut before, &buffer[..read]);
        if read == 0 || !passes || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Both).ok();
    from.shutdown(Shutdown::Both).ok();
}
