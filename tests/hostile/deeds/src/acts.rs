//! Deeds that end a call without an answer, or only after harm was tried.

use std::hint::black_box;

/// Does it, if it is one of these.
pub fn act(deed: &str) {
    match deed {
        "panic" => panic!("as told"),
        "divide" => {
            let (one, zero) = (black_box(1), black_box(0));
            assert_ne!(one / zero, 1);
        }
        "loop" => spin(),
        "recurse" => {
            black_box(recurse(1));
        }
        "eat" => eat(),
        "wild" => {
            let wild = black_box(0xffff_0000_usize) as *mut u8;
            // SAFETY: there is none, that is the point: the engine must catch it.
            unsafe { wild.write_volatile(1) };
        }
        "exit" => std::process::exit(3),
        #[allow(clippy::disallowed_methods, reason = "to sleep is the deed")]
        "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
        "flood-stderr" => {
            for _ in 0..100_000 {
                eprintln!("flood");
            }
        }
        "folders" => {
            assert!(std::fs::read_dir("/").is_err());
            assert!(std::fs::File::open("/etc/passwd").is_err());
            assert!(std::fs::write("/tmp/hostile", "x").is_err());
            assert_eq!(std::env::vars().count(), 0);
            assert_eq!(std::env::args().count(), 0);
        }
        _ => {}
    }
}

/// A list that claims memory which is not its own.
pub fn forged<T>(at: usize, length: usize) -> Vec<T> {
    // SAFETY: there is none. It is handed to the host, which must not believe it, and this
    // instance never runs again.
    unsafe { Vec::from_raw_parts(at as *mut T, length, length) }
}

fn spin() {
    let mut turns = 0u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let ballast = black_box([depth; 16]);
    if depth == u64::MAX {
        0
    } else {
        recurse(depth + 1) + ballast[(depth % 16) as usize]
    }
}

fn eat() {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        eaten.push(vec![1; 1 << 20]);
        black_box(&eaten);
    }
}
