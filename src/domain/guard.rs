//! The records of the guard: the removals of listings, and held listings (design section 3).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Removals within this time are added up: many small ones can be as bad as a large one.
const ADDED_UP: Duration = Duration::from_secs(86_400);

/// Whether removals since this time are still added up. A time in the future does not count: the clock was ahead.
#[must_use]
pub fn is_lately(since: Timestamp, now: Timestamp) -> bool {
    since <= now && now <= since.plus(ADDED_UP)
}

/// The removals of a listing: what is known but not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removals {
    /// How many people are missing.
    pub people: usize,
    /// How many people are known.
    pub known: usize,
    /// How many group memberships are missing.
    pub memberships: usize,
    /// How many memberships are known.
    pub all_memberships: usize,
}

impl Removals {
    /// Whether there are none.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.people == 0 && self.memberships == 0
    }

    /// These removals without `some`.
    #[must_use]
    pub fn less(self, some: Self) -> Self {
        Self {
            people: self.people.saturating_sub(some.people),
            memberships: self.memberships.saturating_sub(some.memberships),
            ..self
        }
    }

    /// The sum of both.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            people: self.people.saturating_add(later.people),
            known: self.known.max(later.known),
            memberships: self.memberships.saturating_add(later.memberships),
            all_memberships: self.all_memberships.max(later.all_memberships),
        }
    }
}

/// A listing that leaves out more than `max_change` allows, or that comes from a provider that was rolled back: neither
/// its removals nor its grants count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldListing {
    /// Name of the source.
    pub source: String,
    /// When it was taken.
    pub at: Timestamp,
    /// Keys of the people who are known and not in it, sorted.
    pub missing: Vec<String>,
    /// How many people are known.
    pub known: usize,
    /// How many known group memberships are not in it.
    pub memberships: usize,
    /// How many memberships are known.
    pub all_memberships: usize,
    /// Groups with many members that it would empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emptied: Vec<String>,
    /// How we know that the provider was rolled back, if it was. While this is held, grants wait, even those in events.
    /// Earlier versions ignore this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// No listing has come since the rollback, so the numbers are not known yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlisted: bool,
}

/// A newer listing is held back in place of the last one. Only the difference is recorded, since the list of missing
/// people may be long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldListingUpdate {
    /// The newer one, without the missing people.
    pub held: HeldListing,
    /// How many are missing from it.
    pub missing: usize,
    /// People who are missing from it and were not missing from the last one.
    pub more: Vec<String>,
    /// People who were missing from the last one and are in this one.
    pub back: Vec<String>,
}

impl HeldListing {
    /// How `later` differs from this; `None` if nothing relevant changed.
    #[must_use]
    pub fn until(&self, later: &Self) -> Option<HeldListingUpdate> {
        let not_in = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|key| those.binary_search(key).is_err()).cloned().collect()
        };
        let on = HeldListingUpdate {
            missing: later.missing.len(),
            more: not_in(&later.missing, &self.missing),
            back: not_in(&self.missing, &later.missing),
            held: later.without_missing(),
        };
        let parts = |of: &Self| (of.memberships, of.emptied.clone(), of.because.clone(), of.unlisted);
        let same = on.more.is_empty() && on.back.is_empty() && parts(self) == parts(later);
        (!same).then_some(on)
    }

    /// A copy without the missing people.
    #[must_use]
    pub fn without_missing(&self) -> Self {
        let Self { source, at, missing: _, known, memberships, all_memberships, emptied, because, unlisted } = self;
        Self {
            source: source.clone(),
            at: *at,
            missing: Vec::new(),
            known: *known,
            memberships: *memberships,
            all_memberships: *all_memberships,
            emptied: emptied.clone(),
            because: because.clone(),
            unlisted: *unlisted,
        }
    }

    /// The held listing of a provider that was rolled back and has not been listed since.
    #[must_use]
    pub fn unlisted(source: &str, at: Timestamp, because: String) -> Self {
        Self {
            source: source.to_owned(),
            at,
            missing: Vec::new(),
            known: 0,
            memberships: 0,
            all_memberships: 0,
            emptied: Vec::new(),
            because: Some(because),
            unlisted: true,
        }
    }

    /// What is held back after an operator discards this. If the provider was rolled back, the next listing is held
    /// back too: nothing shows that the rollback is over, since the restored provider may have changed meanwhile.
    #[must_use]
    pub fn discarded(&self) -> Option<Self> {
        Some(Self::unlisted(&self.source, self.at, self.because.clone()?))
    }

    /// Turns it into the newer one.
    pub fn follow(&mut self, on: &HeldListingUpdate) {
        if let ([], [back]) = (on.more.as_slice(), on.back.as_slice()) {
            // People usually come back one by one: keep the rest in place.
            let missing = std::mem::take(&mut self.missing);
            *self = Self { missing, ..on.held.clone() };
            if let Ok(at) = self.missing.binary_search(back) {
                self.missing.remove(at);
            }
        } else {
            *self = self.followed_by(on);
        }
    }

    fn followed_by(&self, on: &HeldListingUpdate) -> Self {
        let mut missing: Vec<String> =
            self.missing.iter().filter(|key| on.back.binary_search(key).is_err()).chain(&on.more).cloned().collect();
        missing.sort_unstable();
        missing.dedup();
        Self { missing, ..on.held.clone() }
    }
}

/// Lost memberships that an operator confirmed: a listing with the same loss is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// How many memberships are not counted as missing.
    #[serde(default)]
    pub memberships: usize,
    /// Groups that may become empty.
    pub groups: Vec<String>,
    /// Until when.
    pub until: Timestamp,
}

/// How a held listing was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseCause {
    /// An operator confirmed that the missing people have left.
    Confirmed,
    /// An operator rejected it.
    Discarded,
    /// A later listing was accepted.
    Superseded,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held(missing: &std::collections::BTreeSet<u8>, at: i64) -> HeldListing {
        HeldListing {
            source: "hr".into(),
            at: Timestamp::from_secs(at),
            missing: missing.iter().map(|key| format!("p{key:03}")).collect(),
            known: 300,
            memberships: missing.len() / 2,
            all_memberships: 500,
            emptied: vec![],
            because: None,
            unlisted: false,
        }
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read() {
        let text = r#"{"source":"hr","at":70,"missing":["p1"],"known":9,"memberships":0,"all_memberships":4}"#;
        let held: HeldListing = serde_json::from_str(text).unwrap();
        assert_eq!((&held.because, held.unlisted, held.discarded()), (&None, false, None));
        assert_eq!(serde_json::to_string(&held).unwrap(), text, "and the other way round");
    }

    #[test]
    fn another_reason_is_another_listing() {
        let before = held(&[3].into(), 1);
        let mut now = HeldListing { because: Some("older".into()), ..before.clone() };
        let on = before.until(&now).unwrap();
        let mut follows = before.clone();
        follows.follow(&on);
        assert_eq!(follows, now);
        now.unlisted = true;
        assert!(follows.until(&now).is_some());
        assert_eq!(now.discarded().map(|held| (held.because, held.unlisted)), Some((Some("older".into()), true)));
    }

    proptest! {
        #[test]
        fn what_differs_leads_from_one_to_the_next(
            one in prop::collection::btree_set(any::<u8>(), 0..40),
            two in prop::collection::btree_set(any::<u8>(), 0..40),
        ) {
            let (before, after) = (held(&one, 1), held(&two, 2));
            match before.until(&after) {
                Some(on) => {
                    let mut now = before;
                    now.follow(&on);
                    prop_assert_eq!(now, after);
                }
                None => prop_assert_eq!(one, two),
            }
        }
    }
}
