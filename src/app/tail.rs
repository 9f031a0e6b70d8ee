//! `TailAudit`: records of the trail, from its files and then as they are written.
//!
//! A reader that is too slow for what is written goes on in the files, so that it misses nothing and nothing waits for it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::stream;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::audit::AuditError;
use crate::audit::read::{Filter, query};
use crate::audit::record::Record;
use crate::audit::sink::Recorder;
use crate::control::views::Lines;
use crate::telemetry::logging::chain;

/// Records that are read from files at once.
const PAGE: usize = 256;

/// Records of the trail in `dir` that the filter takes: those that are behind, and then those that are written.
pub(super) fn records(recorder: Recorder, dir: PathBuf, filter: Filter, behind: Behind) -> Lines {
    // Followed before the files are read, so that nothing comes in between.
    let feed = recorder.follow();
    let tail = Tail { recorder, dir, filter, feed, behind, known: 0, ready: VecDeque::new() };
    Box::pin(stream::unfold(Some(tail), |tail| async move {
        let mut tail = tail?;
        match tail.next().await? {
            Ok(line) => Some((Ok(line), Some(tail))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

pub(super) type Files = Box<dyn Iterator<Item = Result<Record, AuditError>> + Send>;

/// What is read before the records that are being written.
pub(super) enum Behind {
    /// The files, from the filter's time on.
    Files,
    /// The rest of them.
    Reading(Files),
    Nothing,
}

struct Tail {
    recorder: Recorder,
    dir: PathBuf,
    filter: Filter,
    feed: broadcast::Receiver<Arc<Record>>,
    behind: Behind,
    /// `seq` of the last record that was taken.
    known: u64,
    ready: VecDeque<Record>,
}

impl Tail {
    /// The next line; `None` once the trail has ended.
    async fn next(&mut self) -> Option<Result<String, String>> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                if record.seq > self.known {
                    self.known = record.seq;
                    return Some(serde_json::to_string(&record).map_err(|error| error.to_string()));
                }
                continue;
            }
            match std::mem::replace(&mut self.behind, Behind::Nothing) {
                Behind::Nothing => match self.feed.recv().await {
                    Ok(record) if self.filter.takes(&record) => self.ready.push_back(Record::clone(&record)),
                    Ok(_) => {}
                    // The files have what was missed.
                    Err(RecvError::Lagged(_)) => self.behind = Behind::Files,
                    Err(RecvError::Closed) => return None,
                },
                Behind::Files => {
                    // What was written before is on the disk then; a stopped writer has written it.
                    let _stopped = self.recorder.durable().await;
                    match query(&self.dir, self.filter.clone()) {
                        Ok(files) => self.behind = Behind::Reading(Box::new(files)),
                        Err(error) => return Some(Err(chain(&error))),
                    }
                }
                Behind::Reading(files) => {
                    if let Err(error) = self.read(files).await {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    /// Reads the next page, on a thread that may wait for the disk.
    async fn read(&mut self, mut files: Files) -> Result<(), String> {
        let read = tokio::task::spawn_blocking(move || {
            let page: Result<Vec<Record>, AuditError> = files.by_ref().take(PAGE).collect();
            page.map(|page| (page, files))
        });
        let (page, files) = read.await.map_err(|error| error.to_string())?.map_err(|error| chain(&error))?;
        if page.len() == PAGE {
            self.behind = Behind::Reading(files);
        }
        self.ready.extend(page);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;
    use crate::app::fixtures::trail;
    use crate::audit::entry::Entry;
    use crate::audit::record::Kind;
    use crate::corp::at;

    async fn write(recorder: &Recorder, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let entry = Entry { count: Some(number), ..Entry::new(Kind::Reload, at(5).wall) };
            recorder.record(entry).await.unwrap();
        }
        recorder.durable().await.unwrap();
    }

    async fn read(lines: &mut Lines, many: usize) -> Vec<u64> {
        let number =
            |line: Result<String, String>| serde_json::from_str::<Record>(&line.unwrap()).unwrap().count.unwrap();
        lines.take(many).map(number).collect().await
    }

    #[tokio::test]
    async fn a_slow_reader_misses_nothing_and_reads_nothing_twice() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = trail(dir.path());
        write(&recorder, 0..10).await;
        let filter = |since| Filter { kind: Some(Kind::Reload), since: Some(at(since).wall), ..Filter::default() };
        let tail = |behind| records(recorder.clone(), dir.path().to_owned(), filter(1), behind);
        let (mut from_then, mut later) = (tail(Behind::Files), tail(Behind::Files));
        assert_eq!(read(&mut from_then, 10).await, (0..10).collect::<Vec<_>>());
        // More than what is held for a reader.
        write(&recorder, 10..5_000).await;
        assert_eq!(read(&mut from_then, 4_990).await, (10..5_000).collect::<Vec<_>>());
        assert_eq!(read(&mut later, 5_000).await, (0..5_000).collect::<Vec<_>>());
        let mut from_now = tail(Behind::Nothing);
        write(&recorder, 5_000..5_003).await;
        assert_eq!(read(&mut from_now, 3).await, [5_000, 5_001, 5_002]);
        drop(recorder);
    }
}
