//! Owns every task: each has a name, and the first that ends on its own ends the process.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

/// Why the supervisor stopped.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// A task returned though nobody had asked it to.
    #[error("task `{0}` ended unexpectedly")]
    Early(&'static str),
    /// A task failed.
    #[error("task `{name}` failed: {cause}")]
    Failed {
        /// Its name.
        name: &'static str,
        /// Why.
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

    /// Runs a task on this runtime until it ends or is told to stop. `name` is what errors call it.
    pub fn spawn<F>(&mut self, name: &'static str, on: &Handle, task: F)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let id = self.tasks.spawn_on(task, on).id();
        self.names.push((id, name));
    }

    /// Runs a task that simply is dropped when everything stops.
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

    /// Ends every task wherever it is.
    pub async fn abort(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Tells every task to stop, and waits until all have.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}
