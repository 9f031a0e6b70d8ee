//! Owns every task. Each has a name; the first that ends unexpectedly ends the process.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

/// Why the supervisor stopped.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// A task returned without being asked to.
    #[error("task `{0}` ended unexpectedly")]
    Early(&'static str),
    /// A task failed.
    #[error("task `{name}` failed: {cause}")]
    Failed {
        /// Its name.
        name: &'static str,
        /// The reason.
        cause: String,
    },
}

/// Spawns tasks and waits for them.
#[derive(Debug, Default)]
pub struct Supervisor {
    tasks: JoinSet<Result<(), String>>,
    names: Vec<(Id, &'static str)>,
    stop: CancellationToken,
}

impl Supervisor {
    /// The token that tells every task to stop.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a task on this runtime until it ends or is told to stop. Errors use `name`.
    pub fn spawn<F>(&mut self, name: &'static str, on: &Handle, task: F)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let id = self.tasks.spawn_on(task, on).id();
        self.names.push((id, name));
    }

    /// Runs a task that is simply dropped at the stop.
    pub fn spawn_until_stop<F>(&mut self, name: &'static str, on: &Handle, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.spawn(name, on, async move {
            tokio::select! {
                () = stop.cancelled() => Ok(()),
                () = task => if stop.is_cancelled() { Ok(()) } else { Err("it ended unexpectedly".to_owned()) },
            }
        });
    }

    fn name(&self, id: Id) -> &'static str {
        self.names.iter().find(|(task, _)| *task == id).map_or("unknown", |(_, name)| *name)
    }

    /// Waits for the first task that ends.
    pub async fn first_end(&mut self) -> Ended {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, Ok(())))) => Ended::Early(self.name(id)),
            Some(Ok((id, Err(cause)))) => Ended::Failed { name: self.name(id), cause },
            Some(Err(error)) => Ended::Failed { name: self.name(error.id()), cause: "it panicked".to_owned() },
            None => Ended::Early("none"),
        }
    }

    /// Aborts every task.
    pub async fn abort(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Tells every task to stop, and waits for all of them.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}
