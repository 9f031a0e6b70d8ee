//! What a source does next, and when: a pure function of how its last turns ended and of the time given.
//!
//! Events first, for speed; a full listing now and then, for truth. Both take turns, piece by piece and round by round.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::settings::Schedule;

/// How long requests may hold up a turn that is due.
const OVERDUE: Duration = Duration::from_millis(500);
/// How long a listing keeps its turns when events are long-polled.
const TURN: Duration = Duration::from_millis(200);
/// Unscheduled listings leave as much time in between as the last one took, up to this.
const REST: Duration = Duration::from_secs(60);

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Events.
    Events,
    /// A listing, or its next page.
    Listing,
}

/// The pause after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// The provider asked for it.
    Wanted(Duration),
    /// Our own.
    BackOff(Duration),
}

impl Pause {
    fn length(self) -> Duration {
        let (Self::Wanted(pause) | Self::BackOff(pause)) = self;
        pause
    }
}

/// When one source is asked for what.
#[derive(Debug)]
pub(super) struct Scheduler {
    every: Schedule,
    /// Reading events waits by itself until there are some.
    waits: bool,
    /// Makes an interval a little longer or shorter.
    jitter: fn(Duration) -> Duration,
    /// There are more events; a listing that is due goes before them.
    yields: bool,
    /// The provider asked not to be called before.
    not_before: Instant,
    next_poll: Instant,
    next_listing: Instant,
    /// Another listing is due once the one in progress is over.
    again: bool,
    /// The next listing, or the one in progress, was asked for before its time.
    hurried: bool,
    /// No unscheduled listing before this: after each, as much time passes as it took.
    rested: Instant,
    /// When the last accepted listing ended; `None`: something happened that only the next one can tell.
    listed: Option<Instant>,
}

impl Scheduler {
    /// Everything is due from `now` on.
    pub(super) fn new(every: Schedule, waits: bool, jitter: fn(Duration) -> Duration, now: Instant) -> Self {
        Self {
            every,
            waits,
            jitter,
            yields: false,
            not_before: now,
            next_poll: now,
            next_listing: now,
            again: false,
            hurried: false,
            rested: now,
            listed: None,
        }
    }

    /// When the next turn is due.
    pub(super) fn due(&self) -> Instant {
        self.next_poll.min(self.next_listing)
    }

    /// Whether it has been due for so long that no request goes before it.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.due() + OVERDUE <= now
    }

    /// Which turn is due.
    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        let yields = std::mem::take(&mut self.yields) && self.next_listing <= now;
        if self.next_poll <= now && !yields { Turn::Events } else { Turn::Listing }
    }

    /// Whether strangers may be looked up, or the provider asked to be left alone.
    pub(super) fn takes_strangers(&self, now: Instant) -> bool {
        now >= self.not_before
    }

    /// Whether events alone keep everything up to date: the last listing was accepted, and is not much older than it may be.
    pub(super) fn is_whole(&self, now: Instant) -> bool {
        self.listed.is_some_and(|listed| now.duration_since(listed) <= self.every.reconcile * 2)
    }

    /// Somebody wants events at once.
    pub(super) fn want_events(&mut self, now: Instant) {
        (self.yields, self.next_poll) = (false, now);
    }

    /// Somebody wants a listing at once.
    pub(super) fn want_listing(&mut self, now: Instant) {
        self.next_listing = now;
    }

    /// Changes were delivered late: what happened since is read at once.
    pub(super) fn told(&mut self, now: Instant) {
        self.next_poll = now;
    }

    /// Something happened that only a new listing can tell. However often that is, as much time passes between such listings
    /// as one takes.
    pub(super) fn resync(&mut self, is_listing: bool, now: Instant) {
        self.again |= is_listing;
        (self.listed, self.hurried) = (None, true);
        self.next_listing = self.next_listing.min(now.max(self.rested));
    }

    /// A round of events was read, and there are `more`. Look-ups, and a page of a listing that is due, go before the next.
    pub(super) fn events_read(&mut self, more: bool, is_listing: bool, now: Instant) {
        if more {
            (self.yields, self.next_poll) = (true, now);
            return;
        }
        // A long poll needs no pause, unless a listing wants its turns.
        let lists = is_listing || self.next_listing <= now;
        let every = match (self.waits, lists) {
            (true, false) => Duration::ZERO,
            (true, true) => self.every.poll.min(TURN),
            (false, _) => (self.jitter)(self.every.poll),
        };
        self.next_poll = now + every;
    }

    /// The same, when they were read because a listing is about to begin.
    pub(super) fn events_read_first(&mut self, more: bool, now: Instant) {
        self.next_poll = now + if more { Duration::ZERO } else { (self.jitter)(self.every.poll) };
    }

    /// Events could not be read.
    pub(super) fn events_failed(&mut self, pause: Pause, now: Instant) {
        self.leave_alone(pause, now);
        self.next_poll = now + pause.length();
    }

    /// A look-up failed. It delays only other look-ups: the provider says for each operation whether it must wait.
    pub(super) fn look_up_failed(&mut self, pause: Pause, now: Instant) {
        if let Pause::Wanted(wait) = pause {
            self.not_before = self.not_before.max(now + wait);
        }
    }

    /// A page of a listing was read, and there are more.
    pub(super) fn piece_read(&mut self, now: Instant) {
        self.next_listing = now;
    }

    /// A listing, which took this long, was accepted.
    pub(super) fn listing_taken(&mut self, took: Duration, now: Instant) {
        self.rest(took, now);
        // It began before something that only a later listing can tell.
        let again = std::mem::take(&mut self.again);
        self.listed = (!again).then_some(now);
        self.next_listing = if again { self.rested } else { now + (self.jitter)(self.every.reconcile) };
    }

    /// A listing is held back. An operator must decide; until then not everything is known.
    pub(super) fn listing_held_back(&mut self, took: Duration, now: Instant) {
        self.rest(took, now);
        self.listed = None;
        self.next_listing = now + (self.jitter)(self.every.reconcile);
    }

    /// A step of a listing failed: it is retried, or the listing restarted.
    pub(super) fn listing_failed(&mut self, took: Duration, pause: Pause, now: Instant) {
        self.rest(took, now);
        self.leave_alone(pause, now);
        self.next_listing = now + pause.length().min((self.jitter)(self.every.reconcile));
    }

    fn rest(&mut self, took: Duration, now: Instant) {
        let rest = if std::mem::take(&mut self.hurried) { took.min(REST) } else { Duration::ZERO };
        self.rested = now + rest;
    }

    /// The budget is one, for events and listings.
    fn leave_alone(&mut self, pause: Pause, now: Instant) {
        if let Pause::Wanted(wait) = pause {
            let until = now + wait;
            self.not_before = self.not_before.max(until);
            (self.next_poll, self.next_listing) = (self.next_poll.max(until), self.next_listing.max(until));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn start(waits: bool) -> (Scheduler, Instant) {
        let now = Instant::now();
        (Scheduler::new(Schedule { poll: secs(10), reconcile: secs(900) }, waits, |every| every, now), now)
    }

    /// Events were read, and everybody was listed.
    fn settled(waits: bool) -> (Scheduler, Instant) {
        let (mut all, now) = start(waits);
        all.events_read(false, false, now);
        all.listing_taken(secs(5), now);
        (all, now)
    }

    #[test]
    fn events_come_first_and_then_everybody_is_listed() {
        let (mut all, now) = start(false);
        assert_eq!((all.due(), all.turn(now)), (now, Turn::Events));
        all.events_read(false, false, now);
        assert_eq!((all.due(), all.turn(now)), (now, Turn::Listing));
        all.piece_read(now);
        assert_eq!(all.turn(now), Turn::Listing);
        assert_eq!(all.turn(now + secs(10)), Turn::Events, "between its pieces");
        assert!(!all.is_whole(now));
        all.listing_taken(secs(5), now);
        assert_eq!((all.due(), all.is_whole(now)), (now + secs(10), true));
        all.events_read(false, false, now + secs(895));
        assert_eq!((all.due(), all.turn(now + secs(900))), (now + secs(900), Turn::Listing));
        assert!(all.is_whole(now + secs(1800)) && !all.is_whole(now + secs(1801)), "its time is long over");
    }

    #[test]
    fn events_without_end_take_turns_with_a_listing() {
        let (mut all, now) = start(false);
        for _ in 0..3 {
            assert_eq!(all.turn(now), Turn::Events);
            all.events_read(true, true, now);
            assert_eq!(all.turn(now), Turn::Listing);
            all.piece_read(now);
        }
        all.listing_taken(secs(5), now);
        all.events_read(true, false, now);
        assert_eq!(all.turn(now), Turn::Events, "nothing else is due");
        all.events_read(true, false, now);
        all.want_events(now);
        all.want_listing(now);
        assert_eq!(all.turn(now), Turn::Events, "somebody waits for them");
    }

    #[test]
    fn who_waits_for_events_is_asked_without_a_pause_unless_a_listing_wants_its_turn() {
        let (mut all, now) = settled(true);
        all.events_read(false, false, now);
        assert_eq!(all.due(), now);
        all.piece_read(now + secs(1));
        all.events_read(false, true, now);
        assert_eq!(all.due(), now + TURN);
    }

    #[test]
    fn orders_hold_up_what_is_due_only_for_a_while() {
        let (all, now) = settled(false);
        let due = now + secs(10);
        assert_eq!([due, due + OVERDUE].map(|at| all.is_overdue(at)), [false, true]);
    }

    #[test]
    fn who_wants_to_be_left_alone_is() {
        let (mut all, now) = settled(false);
        all.look_up_failed(Pause::Wanted(secs(30)), now);
        assert_eq!((all.due(), all.takes_strangers(now + secs(29))), (now + secs(10), false));
        assert!(all.takes_strangers(now + secs(30)));
        all.look_up_failed(Pause::BackOff(secs(60)), now);
        assert!(all.takes_strangers(now + secs(30)), "one that fails says nothing of the next");
        all.want_listing(now);
        all.events_failed(Pause::Wanted(secs(40)), now);
        assert_eq!((all.due(), all.turn(all.due())), (now + secs(40), Turn::Events), "the budget is one");
        assert!(!all.takes_strangers(now + secs(39)));
    }

    #[test]
    fn a_failure_of_one_delays_the_other_in_nothing() {
        let (mut all, now) = settled(false);
        all.want_listing(now);
        all.listing_failed(secs(5), Pause::BackOff(secs(60)), now);
        assert_eq!((all.due(), all.turn(now + secs(10))), (now + secs(10), Turn::Events));
        all.events_failed(Pause::BackOff(secs(70)), now);
        assert_eq!((all.due(), all.turn(now + secs(60))), (now + secs(60), Turn::Listing));
        all.listing_failed(secs(5), Pause::BackOff(secs(10_000)), now);
        all.events_failed(Pause::BackOff(secs(10_000)), now);
        assert_eq!(all.due(), now + secs(900), "its time comes all the same");
    }

    #[test]
    fn what_only_a_listing_tells_asks_for_one_and_for_no_more_than_it_can() {
        let (mut all, now) = settled(false);
        all.resync(false, now);
        assert_eq!((all.due(), all.is_whole(now)), (now, false));
        // Again while it is on its way: what it read is from before.
        all.resync(true, now);
        let over = now + secs(20);
        all.listing_taken(secs(20), over);
        all.events_read(false, false, over + secs(100));
        assert_eq!((all.due(), all.is_whole(over)), (over + secs(20), false), "as long as it took without one");
        all.listing_taken(secs(20), over + secs(40));
        assert!(all.is_whole(over + secs(40)), "nothing happened since");
        all.resync(false, over + secs(41));
        all.listing_taken(secs(1_000), over + secs(50));
        all.resync(false, over + secs(51));
        all.events_read(false, false, over + secs(500));
        assert_eq!(all.due(), over + secs(50) + REST);
    }

    #[test]
    fn a_listing_that_is_held_back_is_none() {
        let (mut all, now) = settled(false);
        all.listing_held_back(secs(5), now);
        all.events_read(false, false, now + secs(2_000));
        assert_eq!((all.is_whole(now), all.due()), (false, now + secs(900)));
    }
}
