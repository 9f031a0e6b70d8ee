//! Failures that were not followed by a success yet, where nothing else remembers them.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::domain::time::Timestamp;

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When it first happened.
    pub at: Timestamp,
    /// What was wrong the last time, one error each.
    pub errors: Vec<String>,
}

/// The last failure of one thing, until it succeeds.
#[derive(Debug, Default)]
pub struct Trouble(ArcSwapOption<Failure>);

impl Trouble {
    /// It failed, perhaps again; `errors` has one error per line.
    pub fn failed(&self, at: Timestamp, errors: &str) {
        let at = self.lasting().map_or(at, |before| before.at);
        let errors = errors.lines().map(str::to_owned).collect();
        self.0.store(Some(Arc::new(Failure { at, errors })));
    }

    /// It succeeded.
    pub fn is_over(&self) {
        self.0.store(None);
    }

    /// The failure that lasts.
    #[must_use]
    pub fn lasting(&self) -> Option<Arc<Failure>> {
        self.0.load_full()
    }
}

/// What may fail and go on.
#[derive(Debug, Default)]
pub struct Troubles {
    /// Putting the configuration files in force.
    pub reload: Trouble,
    /// Writing to the store.
    pub store: Trouble,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_lasts_from_its_first_time_with_the_last_words_until_a_success() {
        let (trouble, at) = (Trouble::default(), Timestamp::from_secs);
        assert_eq!(trouble.lasting(), None);
        trouble.failed(at(1), "disk full");
        trouble.failed(at(2), "a.yaml:1: x\na.yaml:2: y");
        let lasting = trouble.lasting().unwrap();
        assert_eq!((lasting.at, lasting.errors.len(), lasting.errors[1].as_str()), (at(1), 2, "a.yaml:2: y"));
        trouble.is_over();
        assert_eq!(trouble.lasting(), None);
        trouble.failed(at(3), "disk full");
        assert_eq!(trouble.lasting().unwrap().at, at(3));
    }
}
