//! One delta query, followed round after round.

use reqwest::Url;
use serde::de::DeserializeOwned;

use super::api::{Api, Delta};
use super::wire::Page;
use crate::source::error::SourceError;
use crate::source::visited::Visited;

/// Where a page leads: within the round, or to the next one.
#[derive(Debug)]
pub enum Link {
    /// There is more.
    Next(Url),
    /// That was all.
    Over(Url),
}

/// The link of a page.
///
/// # Errors
/// [`SourceError::Malformed`] without any, or with one to somewhere else.
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
    /// The page that is next, or being followed.
    pub link: Option<Url>,
    /// Where that one leads, once what it names was taken note of.
    after: Option<Link>,
    /// Whether `link` is in the middle of a round.
    within: bool,
    /// The links of the round.
    seen: Visited,
}

impl Feed {
    /// A query that has begun nowhere yet.
    #[must_use]
    pub fn new(step: &'static str) -> Self {
        Self { step, link: None, after: None, within: false, seen: Visited::default() }
    }

    /// Whether a page was read and not passed yet.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.after.is_some()
    }

    /// Whether there is more of the round.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.within
    }

    /// Begins elsewhere.
    pub fn set(&mut self, link: Option<Url>) {
        (self.link, self.after, self.within) = (link, None, false);
        self.seen = Visited::default();
    }

    /// Reads the page at `link`, or at `first` where there is none; `None` where the provider forgot it.
    ///
    /// # Errors
    /// [`SourceError`]; then the same page is read again.
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

    /// What the page names was taken note of; whether the round is over by that.
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
