//! One delta query, followed from round to round.

use reqwest::Url;
use serde::de::DeserializeOwned;

use super::api::{Api, Delta};
use super::wire::Page;
use crate::source::error::SourceError;
use crate::source::visited::Visited;

/// Where a page leads: further within the round, or to the next round.
#[derive(Debug)]
pub enum Link {
    /// There are more pages.
    Next(Url),
    /// This was the last page.
    Over(Url),
}

/// The link of a page.
///
/// # Errors
/// [`SourceError::Malformed`] if it has none, or one to another host.
pub fn link<T>(api: &Api, step: &'static str, page: &Page<T>) -> Result<Link, SourceError> {
    match (&page.next, &page.delta) {
        (Some(next), _) => Ok(Link::Next(api.followed(step, next)?)),
        (None, Some(delta)) => Ok(Link::Over(api.followed(step, delta)?)),
        (None, None) => Err(SourceError::Malformed { step, what: "a page has no link to the next one".to_owned() }),
    }
}

/// A delta query.
#[derive(Debug)]
pub struct Feed {
    step: &'static str,
    /// The next page, or the one that is being followed.
    pub link: Option<Url>,
    /// Where that page leads, once its rows were noted.
    after: Option<Link>,
    /// Whether `link` is within a round.
    within: bool,
    /// The links of this round.
    seen: Visited,
}

impl Feed {
    /// A query without a position.
    #[must_use]
    pub fn new(step: &'static str) -> Self {
        Self { step, link: None, after: None, within: false, seen: Visited::default() }
    }

    /// Whether a page was read but not passed yet.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.after.is_some()
    }

    /// Whether the round has more pages.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.within
    }

    /// Moves to another position.
    pub fn set(&mut self, link: Option<Url>) {
        (self.link, self.after, self.within) = (link, None, false);
        self.seen = Visited::default();
    }

    /// Reads the page at `link`, or at `first` if there is none; `None` if the provider no longer knows the position.
    ///
    /// # Errors
    /// [`SourceError`] if the request fails; then the same page is read again.
    pub async fn read<T: DeserializeOwned>(
        &mut self,
        api: &mut Api,
        first: Url,
        right: &str,
    ) -> Result<Option<Vec<T>>, SourceError> {
        let asked = self.link.clone().unwrap_or(first);
        match api.delta::<T>((self.step, right), asked, self.link.is_some()).await? {
            Delta::Page(page) => {
                let after = link(api, self.step, &page)?;
                if let Link::Next(next) = &after {
                    self.seen.note(self.step, next)?;
                }
                self.after = Some(after);
                Ok(Some(page.value))
            }
            Delta::Reset if self.link.is_some() => {
                self.set(None);
                Ok(None)
            }
            Delta::Reset => Err(SourceError::Status { step: self.step, status: 410 }),
        }
    }

    /// The rows of the page were noted; returns whether the round is over.
    pub fn pass(&mut self) -> bool {
        match self.after.take() {
            Some(Link::Next(next)) => {
                (self.link, self.within) = (Some(next), true);
                false
            }
            Some(Link::Over(link)) => {
                self.set(Some(link));
                true
            }
            None => false,
        }
    }
}
