//! A wire between two processes that a test can cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

pub struct Wire {
    pub port: u16,
    whole: Arc<AtomicBool>,
    cut: Arc<Notify>,
    _task: JoinSet<()>,
}

impl Wire {
    /// Connections to `port` go to `target`.
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (whole, cut) = (Arc::new(AtomicBool::new(true)), Arc::new(Notify::new()));
        let mut task = JoinSet::new();
        task.spawn(carry(listener, target, Arc::clone(&whole), Arc::clone(&cut)));
        Self { port, whole, cut, _task: task }
    }

    /// Ends every connection, and takes none.
    pub fn cut(&self) {
        self.whole.store(false, Ordering::Release);
        self.cut.notify_waiters();
    }

    pub fn mend(&self) {
        self.whole.store(true, Ordering::Release);
    }
}

async fn carry(listener: TcpListener, target: u16, whole: Arc<AtomicBool>, cut: Arc<Notify>) {
    let mut connections = JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        if !whole.load(Ordering::Acquire) {
            continue;
        }
        let cut = Arc::clone(&cut);
        connections.spawn(async move {
            let Ok(mut far) = TcpStream::connect(("127.0.0.1", target)).await else { return };
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                () = cut.notified() => {}
            }
        });
    }
}
