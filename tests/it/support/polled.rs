//! One source at work in this process, asked by requests only: its own first turns come at once, the next ones in a day.

use std::sync::Arc;
use std::time::Duration;

use offboard::domain::command::WriterHandle;
use offboard::domain::settings::Schedule;
use offboard::source::context::{SourceContext, SourceRequest, Time};
use offboard::source::directory::Directory;
use offboard::source::health::Health;
use offboard::source::poller::Poller;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

pub struct Polled {
    requests: mpsc::Sender<SourceRequest>,
    pub health: watch::Receiver<Health>,
    tasks: JoinSet<()>,
}

impl Polled {
    /// The source `name`, which tells this inbox.
    pub fn start(name: &str, directory: impl Directory, writer: &WriterHandle, time: Time) -> Self {
        Self::every(Duration::from_secs(86_400), name, directory, writer, time)
    }

    /// The same, asked for events so often.
    pub fn every(poll: Duration, name: &str, directory: impl Directory, writer: &WriterHandle, time: Time) -> Self {
        let (requests, received) = mpsc::channel(1);
        let (sender, health) = watch::channel(Health::default());
        let reports = Arc::new(|_: &str, _| {});
        let context = SourceContext { writer: writer.clone(), time, reports, health: sender, requests: received };
        let rhythm = Schedule { poll, reconcile: Duration::from_secs(86_400) };
        let mut tasks = JoinSet::new();
        tasks.spawn(Poller::new(name.into(), Box::new(directory), rhythm, None, context).run());
        Self { requests, health, tasks }
    }

    /// Asks for events, or for everybody.
    pub async fn sync(&self, full: bool) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(SourceRequest::Sync { full, reply }).await.unwrap();
        answer.await.unwrap()
    }

    /// Looks one person up.
    pub async fn look_up(&self, attribute: &str, value: &str) -> Option<bool> {
        let (reply, answer) = oneshot::channel();
        let (attribute, value) = (attribute.to_owned(), value.to_owned());
        self.requests.send(SourceRequest::LookUp { attribute, value, reply }).await.unwrap();
        answer.await.unwrap()
    }

    /// Stops it.
    pub async fn stop(self) {
        let Self { requests, mut tasks, .. } = self;
        drop(requests);
        while tasks.join_next().await.is_some() {}
    }
}
