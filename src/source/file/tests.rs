use std::cell::Cell;
use std::io::Write as _;
use std::sync::Arc;

use super::*;
use crate::domain::person::Status;
use crate::domain::time::{Now, Timestamp};
use crate::source::directory::Grade;

thread_local! {
    static LATER: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A file, its source, and a clock that goes on when the test says so.
struct Bench {
    directory: tempfile::TempDir,
    source: PeopleFile,
}

impl Bench {
    /// What is there at the start was written just now.
    fn new(text: &str) -> Self {
        LATER.set(Duration::ZERO);
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("people.yaml"), text).unwrap();
        // By a clock of 1970 everything was written just now.
        let source = Self::source(&directory, Timestamp::from_secs(0));
        Self { directory, source }
    }

    fn source(directory: &tempfile::TempDir, now: Timestamp) -> PeopleFile {
        let time: Time = Arc::new(move || Now::at(now));
        let path = directory.path().join("people.yaml");
        let mut source = PeopleFile::new("hr".into(), path, Duration::from_millis(1), time);
        source.clock = || Instant::now() + LATER.get();
        source.first = false;
        source
    }

    fn later(&self, millis: u64) {
        LATER.set(LATER.get() + Duration::from_millis(millis));
    }

    fn write(&self, text: &str) {
        std::fs::write(self.directory.path().join("people.yaml"), text).unwrap();
    }

    fn append(&self, text: &str) {
        let mut file =
            std::fs::OpenOptions::new().append(true).open(self.directory.path().join("people.yaml")).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, text: &str) {
        std::fs::write(self.directory.path().join("beside"), text).unwrap();
        std::fs::rename(self.directory.path().join("beside"), self.directory.path().join("people.yaml")).unwrap();
    }

    /// What a listing says now: everybody, or `None` while the file is being written.
    async fn listed(&mut self) -> Result<Option<Vec<String>>, String> {
        let mut place = None;
        let mut people = Vec::new();
        loop {
            let page = self.source.page(place).await.map_err(|error| error.to_string())?;
            people.extend(page.people.into_iter().map(|person| person.id.key));
            let Some(next) = page.next else { return Ok(Some(people)) };
            if next.read::<ListingPosition>().unwrap() == ListingPosition::Waiting {
                // Nobody goes on with it.
                self.source.listing_over(ListingOutcome::Dropped);
                return Ok(None);
            }
            place = Some(next);
        }
    }

    /// Whom the last look says to be out, and whether everybody is to be listed again.
    async fn told(&mut self) -> (Vec<String>, bool) {
        self.source.next_look = Instant::now();
        let changes = self.source.changes().await.unwrap();
        self.source.acknowledged();
        let out = changes.observations.into_iter().map(|observation| match observation {
            Observation::PartialDisable { person, status } => format!("{} {}", person.key, status.word()),
            other => panic!("{other:?}"),
        });
        (out.collect(), changes.resync)
    }
}

/// Where a listing goes on behind this page.
fn position(page: &Page) -> Option<ListingPosition> {
    page.next.as_ref().map(|token| token.read().unwrap())
}

const WHOLE: &str = "people:\n- { id: ann }\n- { id: bea }\n- { id: cy }\n";

#[tokio::test]
async fn a_file_written_in_place_says_only_who_is_out() {
    let mut bench = Bench::new(WHOLE);
    assert_eq!(bench.listed().await, Ok(None), "who knows whether it is whole");
    bench.later(2_000);
    assert_eq!(bench.listed().await.unwrap().unwrap(), ["ann", "bea", "cy"]);

    bench.write("people:\n- id: ann\n");
    assert_eq!(bench.told().await, (vec![], false));
    assert_eq!(bench.listed().await, Ok(None), "bea and cy have not left");
    bench.append("  status: departed\n- id: bea\n");
    bench.later(1_900);
    assert_eq!(bench.told().await, (vec!["ann departed".to_owned()], false), "her record is complete");
    assert!(bench.source.look_up("id", "bea").await.is_err(), "nobody comes either");
    bench.append("  status: suspended\n");
    bench.later(1_900);
    assert_eq!(bench.told().await, (vec![], false), "her record may go on");
    bench.append("- id: dot\n");
    bench.later(1_900);
    assert_eq!(bench.told().await, (vec!["bea suspended".to_owned()], false), "now another one follows");
    bench.later(2_000);
    assert_eq!(bench.told().await, (vec![], true), "quiet");
    assert_eq!(bench.listed().await.unwrap().unwrap(), ["ann", "bea", "dot"]);
    assert_eq!(bench.told().await, (vec![], false));
}

#[tokio::test]
async fn a_rename_and_a_swap_are_quiet_at_once() {
    let mut bench = Bench::new(WHOLE);
    assert_eq!(bench.listed().await, Ok(None));
    bench.rename("people: [{ id: ann }]");
    until_placed(&bench.source).await;
    assert_eq!(bench.listed().await.unwrap().unwrap(), ["ann"]);
    bench.write(WHOLE);
    assert_eq!(bench.listed().await, Ok(None), "the same file is written to");

    let linked = tempfile::tempdir().unwrap();
    let at = |name: &str| linked.path().join(name);
    for (name, text) in [("..1", WHOLE), ("..2", "people: [{ id: bea }]")] {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at(name).join("people.yaml"), text).unwrap();
    }
    std::os::unix::fs::symlink("..1", at("..data")).unwrap();
    std::os::unix::fs::symlink("..data/people.yaml", at("people.yaml")).unwrap();
    let source = Bench::source(&linked, Timestamp::from_secs(0));
    let mut bench = Bench { directory: linked, source };
    assert_eq!(bench.listed().await, Ok(None));
    std::os::unix::fs::symlink("..2", bench.directory.path().join("..next")).unwrap();
    std::fs::rename(bench.directory.path().join("..next"), bench.directory.path().join("..data")).unwrap();
    assert_eq!(bench.listed().await.unwrap().unwrap(), ["bea"]);
}

/// The system's word comes when it comes: what waits for it is its channel, not a clock.
async fn until_placed(source: &PeopleFile) {
    let inode = read::read(&source.path).unwrap().stamp.inode;
    while !source.watch.placed(inode) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_listing_that_waits_for_the_file_needs_no_second_one() {
    let mut bench = Bench::new(WHOLE);
    let page = bench.source.page(None).await.unwrap();
    assert_eq!(position(&page), Some(ListingPosition::Waiting));
    bench.later(2_000);
    assert_eq!(bench.told().await, (vec![], false), "it is on its way, and reads what is quiet now");
    let page = bench.source.page(page.next).await.unwrap();
    assert_eq!((page.people.len(), position(&page)), (3, None));
    bench.source.listing_over(ListingOutcome::Accepted);
    bench.rename("people: [{ id: ann }]");
    until_placed(&bench.source).await;
    assert_eq!(bench.told().await, (vec![], true));

    let mut bench = Bench::new(WHOLE);
    bench.source.page(None).await.unwrap();
    bench.source.listing_over(ListingOutcome::Dropped);
    bench.later(2_000);
    assert_eq!(bench.told().await, (vec![], true), "that one was given up");
}

#[tokio::test]
async fn what_was_written_long_ago_is_listed_at_once() {
    let bench = Bench::new(WHOLE);
    let far = Timestamp::from_secs(10_000_000_000);
    let mut bench = Bench { source: Bench::source(&bench.directory, far), ..bench };
    assert_eq!(bench.listed().await.unwrap().unwrap().len(), 3);
    bench.write("people:\n- { id: ann }\n");
    assert_eq!(bench.listed().await, Ok(None), "from then on pauses count, whatever the clock says");
}

#[tokio::test]
async fn what_is_never_quiet_is_an_error() {
    let mut bench = Bench::new(WHOLE);
    for number in 0..20 {
        assert_eq!(bench.listed().await, Ok(None), "{number}");
        bench.append(&format!("- {{ id: p{number} }}\n"));
        bench.later(1_500);
    }
    let error = bench.listed().await.unwrap_err();
    assert!(error.contains("without a pause of 2s") && error.contains("rename"), "{error}");
    assert!(bench.told().await.1, "the listing says so, once");
    bench.append("- { id: last, status: departed }\n- { id: next }\n");
    assert_eq!(bench.told().await, (vec!["last departed".to_owned()], false), "who is out is out");
    bench.later(2_000);
    assert_eq!(bench.listed().await.unwrap().unwrap().len(), 25);
}

#[tokio::test]
async fn a_file_with_mistakes_is_no_listing_but_says_who_is_out() {
    let mut bench = Bench::new(WHOLE);
    bench.listed().await.unwrap();
    bench.later(2_000);
    bench.listed().await.unwrap();
    bench.rename("people:\n- { id: ann, status: left }\n- { id: ~ }\n- { id: cy, status: departed }\n");
    until_placed(&bench.source).await;
    assert_eq!(bench.told().await, (vec![], true));
    let error = bench.listed().await.unwrap_err();
    assert!(error.contains("people.yaml:2: record 1 (`ann`): `status` is `left`"), "{error}");
    assert!(error.contains("and 1 more: `offboard source check hr`"), "{error}");
    assert_eq!(bench.told().await, (vec!["cy departed".to_owned()], false));
    assert_eq!(bench.listed().await.unwrap_err(), error, "it stays one");
    let findings = bench.source.examine().await;
    assert_eq!(findings.iter().filter(|finding| finding.grade == Grade::Bad).count(), 2, "{findings:?}");
    bench.rename(WHOLE);
    assert_eq!(bench.told().await, (vec![], true));
    assert_eq!(bench.listed().await.unwrap().unwrap().len(), 3);
}

#[tokio::test]
async fn beyond_the_limit_the_error_names_it() {
    let mut bench = Bench::new(WHOLE);
    let file = std::fs::File::create(bench.directory.path().join("people.yaml")).unwrap();
    file.set_len(read::MAX_BYTES + 1).unwrap();
    let error = bench.listed().await.unwrap_err();
    assert!(error.contains("has 33554433 bytes: the limit is 32 MiB"), "{error}");
    std::fs::remove_file(bench.directory.path().join("people.yaml")).unwrap();
    std::fs::create_dir(bench.directory.path().join("people.yaml")).unwrap();
    assert!(bench.listed().await.unwrap_err().contains("is not a regular file"));
}

#[tokio::test]
async fn a_large_file_comes_in_pieces_and_who_is_missing_needs_no_reading() {
    let rows: String =
        (0..PIECE + 5).map(|number| format!("- {{ id: p{number}, email: p{number}@example.com }}\n")).collect();
    let mut bench = Bench::new(&format!("people:\n{rows}"));
    bench.listed().await.unwrap();
    bench.later(2_000);
    let first = bench.source.page(None).await.unwrap();
    assert_eq!((first.people.len(), position(&first), first.count), (PIECE, Some(ListingPosition::After(PIECE)), None));
    let last = bench.source.page(first.next).await.unwrap();
    assert_eq!((last.people.len(), position(&last), last.count), (5, None, Some(PIECE + 5)));
    bench.source.listing_over(ListingOutcome::Accepted);
    assert!(bench.source.is_missing("stranger") && !bench.source.is_missing("p7"));
    assert_eq!(bench.source.look_up("id", "stranger").await.unwrap(), None);
    assert_eq!(bench.source.look_up("email", "p7@example.com").await.unwrap().unwrap().id.key, "p7");
    assert_eq!(bench.source.look_up("id", "p7").await.unwrap().unwrap().status, Status::Active);
}

#[tokio::test]
async fn a_file_that_is_gone_is_an_error_until_it_is_back() {
    let mut bench = Bench::new(WHOLE);
    std::fs::remove_file(&bench.source.path).unwrap();
    bench.source.next_look = Instant::now();
    for _ in 0..3 {
        assert!(bench.source.changes().await.is_err(), "nothing was read, so the source does not work");
        // Long before the next look is due.
        bench.source.next_look = Instant::now() + Duration::from_secs(600);
    }
    bench.write(WHOLE);
    assert!(bench.source.changes().await.is_ok());
}

#[tokio::test]
async fn a_directory_that_was_replaced_is_watched_again() {
    let mut bench = Bench::new(WHOLE);
    let (path, aside) = (bench.directory.path().join("people"), bench.directory.path().join("aside"));
    std::fs::create_dir(&path).unwrap();
    bench.source.path = path.join("people.yaml");
    bench.source.watch = Watch::begin(&bench.source.path);
    assert!(!bench.source.watch.is_lost());
    std::fs::rename(&path, &aside).unwrap();
    assert!(!bench.source.watch.is_lost(), "nothing is there to be watched");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(&bench.source.path, WHOLE).unwrap();
    assert!(bench.source.watch.is_lost());
    bench.told().await;
    assert!(!bench.source.watch.is_lost());
}
