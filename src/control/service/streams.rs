//! `TailAudit` and `Watch`: streams that end when their caller is no longer admitted, or the server stops.

use std::pin::Pin;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use super::{Operator, input};
use crate::control::admission::Admission;
use crate::control::proto;
use crate::control::views::TailFilter;
use crate::domain::event::Epoch;

/// What a stream sends.
pub(super) type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Operator {
    pub(super) async fn tailed(
        &self,
        request: &Request<proto::TailAuditRequest>,
    ) -> Result<Messages<proto::AuditRecord>, Status> {
        let wanted = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let (person, kind) = (wanted(&request.get_ref().person), wanted(&request.get_ref().kind));
        let caller = self.enter(request, person.clone()).await?;
        let persons = match person {
            Some(reference) => {
                let found = self.resolve(&input::reference(&reference)?).await?;
                Some(found.into_iter().map(|view| view.person.id).collect())
            }
            None => None,
        };
        let since = input::time("since", request.get_ref().since.as_deref())?;
        let lines = self.views.tail(TailFilter { persons, kind, since }).map_err(Status::invalid_argument)?;
        let records = lines.map(|line| line.map(|json| proto::AuditRecord { json }).map_err(Status::unavailable));
        Ok(until(records, ended(caller.admission, self.stop.clone())))
    }

    pub(super) async fn watched(
        &self,
        request: &Request<proto::WatchRequest>,
    ) -> Result<Messages<proto::Change>, Status> {
        let caller = self.enter(request, None).await?;
        let since = request.get_ref().since.as_ref();
        let since = since.map(|since| Epoch { generation: since.generation, position: since.position });
        let changes = self.views.watch(since).map_err(Status::failed_precondition)?;
        let changes = changes.map(|change| change.map_err(Status::unavailable));
        Ok(until(changes, ended(caller.admission, self.stop.clone())))
    }
}

/// Completes, with what the caller is told, once a stream has to end.
async fn ended(admission: Option<Admission>, stop: CancellationToken) -> Status {
    let rejected = async {
        match admission {
            Some(admission) => admission.ended().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = rejected => Status::unauthenticated("the token is no longer valid here"),
        () = stop.cancelled() => Status::unavailable("the server is stopping"),
    }
}

/// The messages as long as their caller would still be admitted: whoever is revoked meanwhile reads no further.
fn until<T: Send + 'static>(
    messages: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ended: impl Future<Output = Status> + Send + 'static,
) -> Messages<T> {
    let ended: BoxFuture<'static, Status> = Box::pin(ended);
    let messages: Messages<T> = Box::pin(messages);
    Box::pin(stream::unfold((messages, Some(ended)), |(mut messages, ended)| async move {
        let mut ended = ended?;
        tokio::select! {
            biased;
            status = &mut ended => Some((Err(status), (messages, None))),
            message = messages.next() => message.map(|message| (message, (messages, Some(ended)))),
        }
    }))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_stream_ends_when_the_server_stops() {
        let stop = CancellationToken::new();
        let messages = stream::iter([Ok(1)]).chain(stream::pending());
        let mut messages = until(messages, ended(None, stop.clone()));
        assert_eq!(messages.next().await.unwrap().unwrap(), 1);
        stop.cancel();
        assert_eq!(messages.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
        assert!(messages.next().await.is_none());
    }
}
