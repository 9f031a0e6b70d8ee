//! Faults that the law tests plant, to show that they catch them (design section 2).
//!
//! Each is where a careless change would introduce it. They exist only with the feature `faults`, which no release has,
//! and act only in the thread that planted one. Without the feature [`planted`] is a constant `false`, and the compiler
//! removes them.

/// A fault, with the law that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Law 1: the state is loaded before the credential is verified.
    StateBeforeAwait,
    /// Law 1: a credential that was verified before is not checked again.
    CacheHoldsAllow,
    /// Law 1: only the displayed name of a client or token is looked up, not all of its names.
    OneNameDenies,
    /// Law 2: a good credential makes up for a bad one.
    GoodMakesUpForBad,
    /// Law 3: an empty link claim is skipped for the next one.
    EmptyLinkFallsThrough,
    /// Law 3: a source that was never synced counts as one without people.
    AbsentIsEmpty,
    /// Law 4: a failed check allows.
    FailureAllows,
    /// Law 5: events are acknowledged without being appended.
    AcknowledgedUnwritten,
    /// Law 5: events are acknowledged before they are enforced.
    AcknowledgedUnenforced,
    /// Law 5: events are acknowledged although the store is no longer where it was opened.
    StoreUnseen,
    /// Law 6: a configuration without `revocations:` ends configured ones.
    ReloadForgets,
    /// Law 6: a snapshot lacks an entry.
    SnapshotForgets,
    /// Law 6: a held listing restores people.
    GuardedListingRestores,
    /// Law 6: a revocation in effect stops when the clock is set back.
    ClockLifts,
    /// Law 6: names are compared byte by byte, so another spelling is not found.
    NamesExactly,
    /// Law 7: a block ends without a residual cut-off.
    EndsWithoutCutOff,
    /// Law 8: groups in an old token count besides the directory's.
    TokenGroupsStay,
    /// Law 9: a denial does not name its revocation.
    CauseIsLost,
    /// Law 9: a credential verified under one configuration is checked under the next.
    JudgedByOldRules,
    /// Law 10: a token is logged when it is first seen.
    TokenIsLogged,
    /// Law 10: the words of a refusal quote a token's claims.
    ClaimIsQuoted,
    /// Law 11: a writer folds its own events without reading those before them.
    FoldsItsOwn,
    /// Law 11: a planned fold is taken over although other events were read.
    PlanUnread,
    /// Law 11: a follower skips an event.
    FoldSkips,
    /// Law 11: while the store is unavailable, grants of sources are enforced from memory too.
    VolatileGives,
}

/// Whether this thread has planted `fault`.
#[cfg(feature = "faults")]
#[must_use]
pub fn planted(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// Whether this thread has planted `fault`: never, without the feature `faults`.
#[cfg(not(feature = "faults"))]
#[must_use]
#[inline]
pub const fn planted(_: Fault) -> bool {
    false
}

#[cfg(feature = "faults")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}

/// Keeps a fault planted until it is dropped.
#[cfg(feature = "faults")]
#[derive(Debug)]
pub struct Planted(std::marker::PhantomData<*const ()>);

/// Plants a fault for this thread, in place of the one before.
#[cfg(feature = "faults")]
#[must_use]
pub fn plant(fault: Fault) -> Planted {
    PLANTED.set(Some(fault));
    Planted(std::marker::PhantomData)
}

#[cfg(feature = "faults")]
impl Drop for Planted {
    fn drop(&mut self) {
        PLANTED.set(None);
    }
}
