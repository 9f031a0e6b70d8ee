//! Faults that the law tests plant, to be shown that they catch them (design section 2).
//!
//! Each stands where a careless change would put it. They exist only with the feature `faults`, which no release
//! is built with, and only for the thread that planted one: without the feature [`planted`] is `false` for the
//! compiler, and nothing of them is left.

/// What can be made to go wrong, and which law that breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Law 1: the state is loaded before the credential is verified.
    StateBeforeAwait,
    /// Law 1: what was verified once is not looked up again.
    CacheHoldsAllow,
    /// Law 1: only the name that is shown of a client or token is looked up, not every name that it bears.
    OneNameDenies,
    /// Law 2: a good credential makes up for a bad one.
    GoodMakesUpForBad,
    /// Law 3: a claim that links and says nothing is passed over for the next.
    EmptyLinkFallsThrough,
    /// Law 3: a source that never told us anything is taken for one that knows nobody.
    AbsentIsEmpty,
    /// Law 4: a check that could not be judged goes on.
    FailureAllows,
    /// Law 5: what was not appended is acknowledged.
    AcknowledgedUnwritten,
    /// Law 5: what is not in force yet is acknowledged.
    AcknowledgedUnenforced,
    /// Law 5: what a store takes that is no longer where it was opened is acknowledged.
    StoreUnseen,
    /// Law 6: a configuration that says nothing of revocations ends them.
    ReloadForgets,
    /// Law 6: a snapshot is without its last entry.
    SnapshotForgets,
    /// Law 6: a listing that is held back counts for what is in it.
    GuardedListingRestores,
    /// Law 6: what has begun to deny stops when the clock is set back.
    ClockLifts,
    /// Law 6: somebody whose directory writes them otherwise is not found: names are compared byte by byte.
    NamesExactly,
    /// Law 7: a block ends without a trace.
    EndsWithoutCutOff,
    /// Law 8: groups of an old token count beside the directory's.
    TokenGroupsStay,
    /// Law 9: a denial does not say which revocation it is.
    CauseIsLost,
    /// Law 9: what was verified by one configuration is judged by the next.
    JudgedByOldRules,
    /// Law 10: a token is logged when it is first seen.
    TokenIsLogged,
    /// Law 10: what a token claims stands in the words of why it was refused.
    ClaimIsQuoted,
    /// Law 11: a writer folds what it appended without reading what stands before it.
    FoldsItsOwn,
    /// Law 11: whoever follows the log passes over an event.
    FoldSkips,
    /// Law 11: while the store is gone, what sources give is enforced from memory too.
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

/// Holds a fault in place; dropped, it is gone.
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
