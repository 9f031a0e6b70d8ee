//! Callers that connect and say nothing, or half of something: they are let go, and cost nobody else anything.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::installation::Installation;
use crate::support::until;

/// `server.drain` of these tests.
const DRAIN: Duration = Duration::from_secs(4);

fn files() -> Installation {
    let files = Installation::new("authorization: none\nno_credentials: pass\n");
    let text = std::fs::read_to_string(files.path("config/10-server.yaml")).unwrap();
    files.write("10-server.yaml", &text.replace("server:\n", "server:\n  drain: 4s\n"));
    files
}

/// Connects, says this, and waits for nothing.
fn silent(to: SocketAddr, says: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(says).unwrap();
    stream
}

/// Everything that a caller may leave unfinished, on every listener.
fn callers([authz, control, ops]: [SocketAddr; 3]) -> Vec<TcpStream> {
    let half: &[u8] = b"PRI * HTTP/2.0\r\n";
    let request: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: x\r\n";
    vec![
        silent(authz, b""),
        silent(authz, half),
        silent(control, b""),
        silent(control, half),
        silent(ops, b""),
        silent(ops, request),
    ]
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let files = files();
    let offboard = files.start().await;
    let callers = callers([offboard.authz, offboard.control, offboard.ops]);
    let mut idle: Vec<TcpStream> = (0..300).map(|_| silent(offboard.ops, b"")).collect();
    for stream in callers.iter().chain(&idle) {
        stream.set_nonblocking(true).unwrap();
    }
    let closed = |mut stream: &TcpStream| match stream.read(&mut [0; 1024]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    until("those who said nothing are let go", async || callers.iter().all(closed).then_some(())).await;
    idle.truncate(0);
    assert!(offboard.ops("/metrics").await.status().is_success());
}

#[tokio::test]
async fn idle_connections_delay_no_stop_and_cost_no_record() {
    let files = files();
    let mut offboard = files.start().await;
    let _callers = callers([offboard.authz, offboard.control, offboard.ops]);
    let asked = Instant::now();
    offboard.process.signal(Signal::TERM);
    let ended = until("it has ended", async || offboard.process.wait(Duration::from_millis(10))).await;
    assert!(ended.success(), "{ended}");
    assert!(asked.elapsed() <= DRAIN, "drained for {:?}", asked.elapsed());
    let trail = std::fs::read_dir(files.path("audit")).unwrap().filter_map(Result::ok);
    let text: String = trail.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
    assert!(text.contains(r#""kind":"stop""#), "the trail has its end: {text}");
}
