//! A wire between two processes that a test can cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

pub struct Wire {
    pub port: u16,
    whole: Arc<AtomicBool>,
    mute: Arc<AtomicBool>,
    cut: Arc<Notify>,
    _task: JoinSet<()>,
}

impl Wire {
    /// Connections to `port` go to `target`.
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (whole, cut) = (Arc::new(AtomicBool::new(true)), Arc::new(Notify::new()));
        let mute = Arc::new(AtomicBool::new(false));
        let mut task = JoinSet::new();
        task.spawn(carry(listener, target, (Arc::clone(&whole), Arc::clone(&mute)), Arc::clone(&cut)));
        Self { port, whole, mute, cut, _task: task }
    }

    /// Ends every connection, and takes none.
    pub fn cut(&self) {
        self.whole.store(false, Ordering::Release);
        self.cut.notify_waiters();
    }

    /// From now on nothing comes back from the target.
    pub fn mute(&self) {
        self.mute.store(true, Ordering::Release);
    }

    pub fn mend(&self) {
        self.mute.store(false, Ordering::Release);
        self.whole.store(true, Ordering::Release);
    }
}

async fn carry(
    listener: TcpListener,
    target: u16,
    (whole, mute): (Arc<AtomicBool>, Arc<AtomicBool>),
    cut: Arc<Notify>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        if !whole.load(Ordering::Acquire) {
            continue;
        }
        let (cut, mute) = (Arc::clone(&cut), Arc::clone(&mute));
        connections.spawn(async move {
            let Ok(mut far) = TcpStream::connect(("127.0.0.1", target)).await else { return };
            tokio::select! {
                _ = both(&mut near, &mut far, &mute) => {}
                () = cut.notified() => {}
            }
        });
    }
}

/// Copies until either side ends; what comes back is dropped while the wire is mute.
async fn both(near: &mut TcpStream, far: &mut TcpStream, mute: &AtomicBool) -> std::io::Result<()> {
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.split(), far.split());
    let there = async {
        copy(&mut from_near, &mut to_far).await?;
        to_far.shutdown().await
    };
    let back = async {
        let mut bytes = vec![0; 16 * 1024];
        loop {
            let read = from_far.read(&mut bytes).await?;
            if read == 0 {
                return to_near.shutdown().await;
            }
            if !mute.load(Ordering::Acquire) {
                to_near.write_all(&bytes[..read]).await?;
            }
        }
    };
    tokio::try_join!(there, back).map(|_| ())
}
