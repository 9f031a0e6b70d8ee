//! What a source does next, and when: from what came of the last turns, and from times that are given.
//!
//! Events first, for speed; a full listing now and then, for truth. Both take turns, piece by piece and round by round.

use std::time::Duration;

use tokio::time::Instant;

use super::context::Schedule;

/// How long orders may hold up what is due.
const OVERDUE: Duration = Duration::from_millis(500);
/// How long a listing has its turns, where events are waited for.
const TURN: Duration = Duration::from_millis(200);
/// Listings that are asked for before their time leave as much time in between as the last one took, up to this.
const REST: Duration = Duration::from_secs(60);

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// What happened.
    Events,
    /// A listing, or its next piece.
    Listing,
}

/// How long to wait after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// The provider wants us to.
    Wanted(Duration),
    /// It does not say.
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
    /// Whoever is asked for events waits for them by itself.
    waits: bool,
    /// Makes an interval a little longer or shorter.
    jitter: fn(Duration) -> Duration,
    /// There are more events, and a listing that is due has its turn before them.
    yields: bool,
    /// The provider does not want to be asked before.
    not_before: Instant,
    next_poll: Instant,
    next_sweep: Instant,
    /// Once the listing on its way is over, another is due.
    again: bool,
    /// Something asked for the next one, or for that which is on its way, before its time.
    hurried: bool,
    /// After one of these, as long as it took.
    rested: Instant,
    /// When the last listing that was taken was over; `None`: something happened that only the next one tells.
    swept: Option<Instant>,
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
            next_sweep: now,
            again: false,
            hurried: false,
            rested: now,
            swept: None,
        }
    }

    /// When the next turn is due.
    pub(super) fn due(&self) -> Instant {
        self.next_poll.min(self.next_sweep)
    }

    /// Whether that has been due for so long that no order goes before it.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.due() + OVERDUE <= now
    }

    /// Whose turn is the one that is due.
    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        let yields = std::mem::take(&mut self.yields) && self.next_sweep <= now;
        if self.next_poll <= now && !yields { Turn::Events } else { Turn::Listing }
    }

    /// Whether strangers may be looked up: the provider wants to be left alone otherwise.
    pub(super) fn takes_strangers(&self, now: Instant) -> bool {
        now >= self.not_before
    }

    /// Whether what is heard is all that there is to know: the last listing was taken, and is not much older than it may
    /// be.
    pub(super) fn is_whole(&self, now: Instant) -> bool {
        self.swept.is_some_and(|swept| now.duration_since(swept) <= self.every.reconcile * 2)
    }

    /// Somebody wants events at once.
    pub(super) fn want_events(&mut self, now: Instant) {
        (self.yields, self.next_poll) = (false, now);
    }

    /// Somebody wants a listing at once.
    pub(super) fn want_listing(&mut self, now: Instant) {
        self.next_sweep = now;
    }

    /// What was heard before was told only now, and may be old: what came since is asked for at once.
    pub(super) fn told(&mut self, now: Instant) {
        self.next_poll = now;
    }

    /// Something happened that only a listing tells; one may be on its way, which does not. However often that is: a
    /// listing, and as much time again without one.
    pub(super) fn resync(&mut self, is_listing: bool, now: Instant) {
        self.again |= is_listing;
        (self.swept, self.hurried) = (None, true);
        self.next_sweep = self.next_sweep.min(now.max(self.rested));
    }

    /// A round of events was read; whether there are more. Look-ups, and a piece of a listing that is due, come before
    /// the next one.
    pub(super) fn events_read(&mut self, more: bool, is_listing: bool, now: Instant) {
        if more {
            (self.yields, self.next_poll) = (true, now);
            return;
        }
        // One that waits for events by itself is asked without a pause, unless a listing wants its turns.
        let lists = is_listing || self.next_sweep <= now;
        let every = match (self.waits, lists) {
            (true, false) => Duration::ZERO,
            (true, true) => self.every.poll.min(TURN),
            (false, _) => (self.jitter)(self.every.poll),
        };
        self.next_poll = now + every;
    }

    /// The same, where they were asked for because a listing is to begin.
    pub(super) fn events_read_first(&mut self, more: bool, now: Instant) {
        self.next_poll = now + if more { Duration::ZERO } else { (self.jitter)(self.every.poll) };
    }

    /// Events could not be read.
    pub(super) fn events_failed(&mut self, pause: Pause, now: Instant) {
        self.leave_alone(pause, now);
        self.next_poll = now + pause.length();
    }

    /// Somebody could not be looked up. Strangers put off nothing but strangers: whether the rest has to wait the
    /// provider says where it is asked.
    pub(super) fn look_up_failed(&mut self, pause: Pause, now: Instant) {
        if let Pause::Wanted(wait) = pause {
            self.not_before = self.not_before.max(now + wait);
        }
    }

    /// A piece of a listing was read, and there are more.
    pub(super) fn piece_read(&mut self, now: Instant) {
        self.next_sweep = now;
    }

    /// A listing, which took so long, was taken.
    pub(super) fn listing_taken(&mut self, took: Duration, now: Instant) {
        self.rest(took, now);
        // One that began before something that only a listing tells does not tell it.
        let again = std::mem::take(&mut self.again);
        self.swept = (!again).then_some(now);
        self.next_sweep = if again { self.rested } else { now + (self.jitter)(self.every.reconcile) };
    }

    /// A listing is held back. Somebody has to look at it; until then not everything is known.
    pub(super) fn listing_held_back(&mut self, took: Duration, now: Instant) {
        self.rest(took, now);
        self.swept = None;
        self.next_sweep = now + (self.jitter)(self.every.reconcile);
    }

    /// A step of a listing failed: it is tried again, or the listing begun anew.
    pub(super) fn listing_failed(&mut self, took: Duration, pause: Pause, now: Instant) {
        self.rest(took, now);
        self.leave_alone(pause, now);
        self.next_sweep = now + pause.length().min((self.jitter)(self.every.reconcile));
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
            (self.next_poll, self.next_sweep) = (self.next_poll.max(until), self.next_sweep.max(until));
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
