//! A piece of a full listing, and where the next one begins.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::error::SourceError;
use crate::domain::command::Observation;
use crate::domain::person::{Person, PersonId};

/// Where a listing goes on. Only the directory that made it can read it.
#[derive(Clone)]
pub struct PageToken(Arc<dyn Any + Send + Sync>);

impl PageToken {
    /// A token that holds this position.
    #[must_use]
    pub fn new<T: Send + Sync + 'static>(position: T) -> Self {
        Self(Arc::new(position))
    }

    /// The position.
    ///
    /// # Errors
    /// [`SourceError::Malformed`] if another directory made the token.
    pub fn read<T: Clone + 'static>(&self) -> Result<T, SourceError> {
        let foreign = || SourceError::Malformed {
            step: "continue a listing",
            what: "its page token belongs to another directory".to_owned(),
        };
        self.0.downcast_ref::<T>().cloned().ok_or_else(foreign)
    }
}

impl fmt::Debug for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageToken")
    }
}

/// A piece of a full listing.
#[derive(Debug, Default)]
pub struct Page {
    /// The people in it.
    pub people: Vec<Person>,
    /// People whom only a second list leaves out, with the status that this gives them. They are treated like people who
    /// are missing from the listing: each is looked up before it is believed.
    pub doubted: Vec<Person>,
    /// People in it whose record cannot be read. They exist, and keep their last known state.
    pub unread: Vec<PersonId>,
    /// What the page says besides: cut-offs, disabled clients.
    pub observations: Vec<Observation>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<PageToken>,
    /// How many people the provider counts; only on the last page.
    pub count: Option<usize>,
}

impl Page {
    /// A page of these people, with the position of the next page if there is one.
    #[must_use]
    pub fn of<T: Send + Sync + 'static>(people: Vec<Person>, next: Option<T>) -> Self {
        Self { next: next.map(PageToken::new), ..Self::last(people) }
    }

    /// The last page of a listing.
    #[must_use]
    pub fn last(people: Vec<Person>) -> Self {
        Self { people, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_another_directory_is_refused() {
        let token = PageToken::new(7_usize);
        assert_eq!(token.read::<usize>().unwrap(), 7);
        assert!(token.read::<String>().unwrap_err().to_string().contains("belongs to another directory"));
    }
}
