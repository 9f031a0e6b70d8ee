//! The changes that a directory gave last, kept until they are acknowledged.

use super::directory::Changes;

/// Changes that were given but not acknowledged yet. Every directory has one. Asking the provider again is not enough:
/// it may report something only once, and reading an event changes what the directory knows of groups.
#[derive(Debug, Default)]
pub struct Outbox(Option<Changes>);

impl Outbox {
    /// The changes to give again before anything new is asked for.
    #[must_use]
    pub fn again(&self) -> Option<Changes> {
        self.0.as_ref().map(Changes::again)
    }

    /// Gives `changes`, and keeps a copy if they contain anything.
    #[must_use]
    pub fn give(&mut self, changes: Changes) -> Changes {
        let says = !changes.observations.is_empty() || changes.cursor.is_some() || changes.resync;
        self.0 = says.then(|| changes.again());
        changes
    }

    /// The last changes were taken in.
    pub fn acknowledged(&mut self) {
        self.0 = None;
    }
}

impl Changes {
    /// The same changes for a second delivery. An error is not repeated. They never claim to be complete: newer changes
    /// must be asked for right after them.
    fn again(&self) -> Self {
        let Self { observations, cursor, resync, silent, .. } = self;
        let (observations, cursor) = (observations.clone(), cursor.clone());
        Self { observations, cursor, more: true, resync: *resync, silent: *silent, trouble: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_given_again_until_they_are_acknowledged() {
        let mut outbox = Outbox::default();
        assert!(outbox.again().is_none());
        let given = outbox.give(Changes { cursor: Some("7".to_owned()), ..Changes::default() });
        assert!(!given.more);
        for _ in 0..2 {
            let again = outbox.again().unwrap();
            assert_eq!((again.cursor.as_deref(), again.more), (Some("7"), true), "it may be old");
        }
        outbox.acknowledged();
        assert!(outbox.again().is_none());
        assert!(!outbox.give(Changes::default()).more && outbox.again().is_none(), "nothing to repeat");
    }
}
