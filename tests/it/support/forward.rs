//! A forward proxy, as companies have it at their edge: `CONNECT` and absolute addresses, with user and password. Wherever
//! one wants to go, it leads to one peer of the test, so that addresses can have names that nobody resolves.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub struct Forward {
    pub address: SocketAddr,
    /// Request lines, with what became of them.
    heard: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

impl Forward {
    /// Leads to `peer` whoever shows `user:password`.
    pub async fn start(peer: SocketAddr, credentials: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let wanted = format!("Basic {}", STANDARD.encode(credentials));
        let (notes, mut task) = (Arc::clone(&heard), JoinSet::new());
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (notes, wanted) = (Arc::clone(&notes), wanted.clone());
                // Whoever hangs up has what they wanted.
                open.spawn(async move { drop(lead(stream, peer, &wanted, &notes).await) });
            }
        });
        Self { address, heard, _task: task }
    }

    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn lead(stream: TcpStream, peer: SocketAddr, wanted: &str, notes: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut caller = BufReader::new(stream);
    let mut head: Vec<String> = Vec::new();
    loop {
        let mut line = String::new();
        caller.read_line(&mut line).await?;
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let Some((first, fields)) = head.split_first() else { return Ok(()) };
    let shown = fields.iter().filter_map(|field| field.split_once(": "));
    let known = shown.clone().any(|(name, value)| name.eq_ignore_ascii_case("proxy-authorization") && value == wanted);
    notes.lock().unwrap().push(format!("{first} {}", if known { "passed" } else { "refused" }));
    if !known {
        let refusal =
            "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";
        return caller.write_all(refusal.as_bytes()).await;
    }
    let mut there = TcpStream::connect(peer).await?;
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method == "CONNECT" {
        caller.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        copy_bidirectional(&mut caller, &mut there).await?;
        return Ok(());
    }
    // `GET http://host/path` becomes `GET /path`; one request for each connection.
    let path = target.splitn(4, '/').nth(3).unwrap_or_default();
    let kept = shown.filter(|(name, _)| !name.to_ascii_lowercase().starts_with("proxy-") && *name != "connection");
    let kept: String = kept.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    there.write_all(format!("{method} /{path} HTTP/1.1\r\n{kept}connection: close\r\n\r\n").as_bytes()).await?;
    let body =
        fields.iter().find_map(|field| field.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut sent = vec![0; body.unwrap_or(0)];
    caller.read_exact(&mut sent).await?;
    there.write_all(&sent).await?;
    let mut answer = Vec::new();
    there.read_to_end(&mut answer).await?;
    caller.write_all(&answer).await
}
