//! Whether a file is still being written.
//!
//! While a file is written in place, it is only the beginning of itself, and people who are not in it yet have not
//! left. So it counts once nobody has touched it for a while. A file that was put in place complete, by a rename or by
//! swapping a link, counts at once.

use std::time::Duration;

use tokio::time::Instant;

/// A file that was not touched for this long is complete.
pub(super) const PAUSE: Duration = Duration::from_secs(2);
/// A file that is written for this long without such a pause is an error.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// What distinguishes one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Device and inode; another inode is another file.
    pub(super) inode: (u64, u64),
    /// In bytes.
    pub(super) size: u64,
    /// The time of the last write, by the clock of its file system, in nanoseconds.
    pub(super) modified: i128,
    /// The SHA-256 hash of its content.
    pub(super) hash: [u8; 32],
}

/// The state of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is complete.
    Quiet,
    /// Somebody may still be writing it.
    Written,
    /// Somebody has been writing it for too long.
    NeverQuiet,
}

/// What was seen of one file, and when.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    last: Option<FileState>,
}

#[derive(Debug)]
struct FileState {
    stamp: Stamp,
    /// Since when it has looked like this.
    since: Instant,
    /// Since when it has not been quiet.
    restless: Instant,
    /// Whether this is the first content of this inode, as far as was seen.
    first: bool,
    quiet: bool,
}

impl Quiet {
    /// Judges the file as it looks now. `placed`: it was put there complete and not written since, as far as the system
    /// reported. `settled`: it is seen for the first time, and was last modified long ago.
    pub(super) fn observe(&mut self, stamp: Stamp, placed: bool, settled: bool, now: Instant) -> Verdict {
        let seen = match self.last.take() {
            Some(seen) if seen.stamp == stamp => seen,
            Some(seen) => FileState {
                first: seen.stamp.inode != stamp.inode,
                stamp,
                since: now,
                restless: if seen.quiet { now } else { seen.restless },
                quiet: false,
            },
            None => FileState { stamp, since: now, restless: now, first: true, quiet: settled },
        };
        let quiet = seen.quiet || seen.first && placed || now.duration_since(seen.since) >= PAUSE;
        let too_long = now.duration_since(seen.restless) >= LONGEST;
        self.last = Some(FileState { quiet, ..seen });
        match (quiet, too_long) {
            (true, _) => Verdict::Quiet,
            (false, true) => Verdict::NeverQuiet,
            (false, false) => Verdict::Written,
        }
    }

    /// Whether it was being written at the last look.
    pub(super) fn is_restless(&self) -> bool {
        self.last.as_ref().is_some_and(|seen| !seen.quiet)
    }

    /// Whether it was never seen before.
    pub(super) fn is_new(&self) -> bool {
        self.last.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(inode: u64, content: u8) -> Stamp {
        Stamp { inode: (1, inode), size: 10, modified: 7, hash: [content; 32] }
    }

    struct Bench {
        quiet: Quiet,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self { quiet: Quiet::default(), now: Instant::now() }
        }

        fn after(&mut self, millis: u64, stamp: Stamp, placed: bool) -> Verdict {
            self.now += Duration::from_millis(millis);
            self.quiet.observe(stamp, placed, false, self.now)
        }
    }

    #[test]
    fn what_changes_is_written_until_it_rests() {
        let mut bench = Bench::new();
        assert_eq!(bench.after(0, stamp(1, 1), false), Verdict::Written, "who knows who writes it");
        assert_eq!(bench.after(1_999, stamp(1, 1), false), Verdict::Written);
        assert_eq!(bench.after(1, stamp(1, 1), false), Verdict::Quiet);
        assert_eq!(bench.after(60_000, stamp(1, 2), false), Verdict::Written, "and again");
        assert_eq!(bench.after(1_500, stamp(1, 3), false), Verdict::Written);
        assert_eq!(bench.after(1_500, stamp(1, 3), false), Verdict::Written, "the pause begins with the last change");
        assert_eq!(bench.after(500, stamp(1, 3), false), Verdict::Quiet);
    }

    #[test]
    fn each_of_time_size_and_content_is_a_change() {
        for changed in
            [Stamp { size: 11, ..stamp(1, 1) }, Stamp { modified: 8, ..stamp(1, 1) }, stamp(1, 2), stamp(2, 1)]
        {
            let mut bench = Bench::new();
            bench.after(0, stamp(1, 1), false);
            assert_eq!(bench.after(5_000, stamp(1, 1), false), Verdict::Quiet);
            assert_eq!(bench.after(5_000, changed, false), Verdict::Written);
        }
    }

    #[test]
    fn what_is_put_there_whole_is_quiet_at_once() {
        let mut bench = Bench::new();
        bench.after(0, stamp(1, 1), false);
        assert_eq!(bench.after(10, stamp(2, 2), true), Verdict::Quiet);
        assert_eq!(bench.after(10, stamp(2, 3), true), Verdict::Written, "the same file is written to");
        assert_eq!(bench.after(10, stamp(3, 4), false), Verdict::Written, "a new file that nobody put there");
        assert_eq!(bench.after(10, stamp(3, 4), true), Verdict::Quiet, "the word came after the look");
        assert!(!bench.quiet.is_restless());
    }

    #[test]
    fn what_never_rests_is_an_error() {
        let mut bench = Bench::new();
        bench.after(0, stamp(1, 0), false);
        for content in 1..20 {
            assert_eq!(bench.after(1_500, stamp(1, content), false), Verdict::Written);
        }
        assert_eq!(bench.after(1_500, stamp(1, 20), false), Verdict::NeverQuiet);
        assert_eq!(bench.after(1_500, stamp(1, 21), false), Verdict::NeverQuiet);
        assert_eq!(bench.after(2_000, stamp(1, 21), false), Verdict::Quiet, "until it does");
        assert_eq!(bench.after(1_500, stamp(1, 22), false), Verdict::Written, "and it has as long again");
    }

    #[test]
    fn what_was_touched_long_ago_is_whole_at_the_start() {
        let mut quiet = Quiet::default();
        assert!(quiet.is_new());
        assert_eq!(quiet.observe(stamp(1, 1), false, true, Instant::now()), Verdict::Quiet);
        assert!(!quiet.is_new());
    }
}
