//! `offboard watch`: changes as JSON lines, for other systems.

use std::io::{self, Write as _};

use clap::Args;
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;
use tonic::Status;

use super::client::Server;
use super::{Answer, Failure};
use crate::control::proto::{self, Change, WatchRequest};
use crate::domain::epoch::Epoch;

/// Print changes as they come into force, as JSON lines.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  offboard watch\n  offboard watch --since 1.4711 > changes.jsonl\n\n\
    One JSON object per line, each with every key: epoch, time, kind, standing, id, target_kind, target, shape,\n\
    issued_before, effective, expires, left_cut_off, people, status, groups, owner, actor, source, reason, cause.\n\n\
    The first line has the kind `watching`. Then come revoked, extended, ended, exempted, exemption_ended, person,\n\
    listing_held and listing_released. An epoch that the log no longer reaches is answered by what stands (kind\n\
    `standing`), up to a line `standing_complete`: what was known before and is not among it stands no more.\n\n\
    A slow reader misses nothing. When the server goes, or no longer admits the caller, the command ends (3, or 1) and\n\
    says on standard error where to go on.")]
pub(super) struct Watch {
    /// Only what comes after this epoch [default: from now on]
    #[arg(long, value_name = "EPOCH")]
    since: Option<Epoch>,
    #[command(flatten)]
    server: Server,
}

/// Why there is nothing more to print.
enum End {
    /// The server said so, or is gone.
    Server(Option<Status>),
    /// The reader.
    Output(io::Error),
}

impl Watch {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let since = self.since.map(|Epoch { generation, position }| proto::Epoch { generation, position });
        let (last, end) = self.server.ask(|mut client| async move {
            let mut changes = client.watch(WatchRequest { since }).await?.into_inner();
            let mut last = since;
            loop {
                let change = match changes.next().await {
                    Some(Ok(change)) => change,
                    ended => return Ok((last, End::Server(ended.and_then(Result::err)))),
                };
                let next = goes_on(&change);
                if let Err(error) = put(change) {
                    return Ok((last, End::Output(error)));
                }
                last = next.or(last);
            }
        })?;
        match end {
            // The reader has seen enough.
            End::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Answer::Yes),
            End::Output(error) => Err(Failure::Unreachable(format!("print: {error}"))),
            End::Server(status) => {
                if let Some(proto::Epoch { generation, position }) = last {
                    eprintln!("offboard: go on with `offboard watch --since {}`", Epoch { generation, position });
                }
                match status {
                    Some(status) => Err(self.server.failure(&status)),
                    None => Err(Failure::Unreachable(format!("{} ended the watch", self.server.server))),
                }
            }
        }
    }
}

/// Where to go on once this is printed. What stands has to be told whole.
fn goes_on(change: &Change) -> Option<proto::Epoch> {
    change.epoch.filter(|_| change.standing.is_none())
}

fn put(change: Change) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", line(change))?;
    out.flush()
}

/// A change with every key.
fn line(change: Change) -> Value {
    let epoch = change.epoch.map(|proto::Epoch { generation, position }| Epoch { generation, position }.to_string());
    json!({
        "epoch": epoch, "time": change.time, "kind": change.kind, "standing": change.standing, "id": change.id,
        "target_kind": change.target_kind, "target": change.target, "shape": change.shape,
        "issued_before": change.issued_before, "effective": change.effective, "expires": change.expires,
        "left_cut_off": change.left_cut_off, "people": change.people, "status": change.status, "groups": change.groups,
        "owner": change.owner, "actor": change.actor, "source": change.source, "reason": change.reason,
        "cause": change.cause,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_there_and_what_stands_is_told_whole() {
        let epoch = Some(proto::Epoch { generation: 1, position: 17 });
        let change = Change { epoch, kind: "revoked".to_owned(), ..Change::default() };
        let Value::Object(members) = line(change.clone()) else { panic!() };
        assert_eq!((members.len(), &members["epoch"], &members["reason"]), (20, &json!("1.17"), &Value::Null));
        assert_eq!(members["people"], json!([]));
        assert_eq!(goes_on(&change), epoch);
        assert_eq!(goes_on(&Change { standing: Some("revoked".to_owned()), ..change }), None);
    }
}
