//! Ports for peers that cannot pick one themselves.

use std::net::TcpListener;

/// A port that was free a moment ago. Whoever can bind port 0 does that instead.
pub fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
