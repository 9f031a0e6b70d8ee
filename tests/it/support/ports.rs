//! Ports for peers that cannot pick one themselves. Whoever can bind port 0 does that instead.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that the kernel gives to connections (32768 and up on Linux): none of them takes one of these between now
/// and when it is listened on, or while a server that comes back on it is stopped.
const FIRST: u16 = 12_000;
const MANY: u16 = 10_000;

/// A port of loopback that nothing listens on. The next one is nobody's either: see [`beside`].
pub fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests of two checkouts may run at once.
    let offset = u16::try_from(std::process::id() % 50).unwrap() * 200;
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    for _ in 0..MANY {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (offset.wrapping_add(number) % MANY) * 2;
        if is_free(port) && is_free(beside(port)) {
            return port;
        }
    }
    panic!("no port is free");
}

/// Another one, for a server that listens on two.
pub fn beside(port: u16) -> u16 {
    port + 1
}
