//! A connection that can be cut: bytes pass between clients and a broker, or don't.

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

#[derive(Default)]
struct Valve {
    position: Mutex<Position>,
    changed: Condvar,
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
}

impl Valve {
    fn lock(&self) -> MutexGuard<'_, Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, position: Position) {
        *self.lock() = position;
        self.changed.notify_all();
    }

    fn position(&self) -> Position {
        *self.lock()
    }

    /// Waits while bytes are held up; false: their connection ends.
    fn pass(&self) -> bool {
        let held = |position: &mut Position| *position == Position::Held;
        let position = self.changed.wait_while(self.lock(), held);
        *position.unwrap_or_else(PoisonError::into_inner) == Position::Open
    }
}

fn pass_both_ways(client: TcpStream, server: TcpStream, valve: &Arc<Valve>) {
    let ends = (client.try_clone(), server.try_clone());
    if let (Ok(client_again), Ok(server_again)) = ends {
        let (one, two) = (Arc::clone(valve), Arc::clone(valve));
        std::thread::spawn(move || pass(client, server, &one));
        std::thread::spawn(move || pass(server_again, client_again, &two));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, valve: &Valve) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).unwrap_or(0);
        let passes = valve.pass();
        if read == 0 || !passes || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Both).ok();
    from.shutdown(Shutdown::Both).ok();
}
