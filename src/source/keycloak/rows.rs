//! A listing that is read page by page.
//!
//! Offsets move where rows come and go (seen: somebody deleted makes the next page skip somebody else). So each page
//! begins with the last row of the one before; where it does not, the listing is begun anew.

use serde::de::DeserializeOwned;

use super::api::Api;
use crate::source::error::SourceError;

/// Rows that are read at once.
pub const ROWS: usize = 500;
/// A listing that changes under our hands is begun anew this often.
const ATTEMPTS: usize = 3;

/// What is listed.
pub struct RowQuery<'a, T> {
    /// What it is for, in errors.
    pub step: &'static str,
    /// Where it is.
    pub path: &'a [&'a str],
    /// Which rows.
    pub query: &'a [(&'a str, &'a str)],
    /// What tells one row from another.
    pub id: fn(&T) -> &str,
}

/// One page.
#[derive(Debug)]
pub enum Read<T> {
    /// The rows that the page before did not have; whether there are more.
    Page(Vec<T>, bool),
    /// Rows have moved: what was read is forgotten, the next page is the first again.
    Moved,
}

/// Where a listing goes on.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// How many were read.
    pub read: usize,
    last: Option<String>,
    attempt: usize,
}

impl Rows {
    /// Reads the next page.
    ///
    /// # Errors
    /// [`SourceError`]; [`SourceError::Malformed`] too if rows move each time, or the same page comes again and again.
    pub async fn next<T: DeserializeOwned>(
        &mut self,
        api: &mut Api,
        listing: &RowQuery<'_, T>,
    ) -> Result<Read<T>, SourceError> {
        let RowQuery { step, path, query, id } = listing;
        let overlap = usize::from(self.last.is_some());
        let (first, max) = ((self.read - overlap).to_string(), (ROWS + overlap).to_string());
        let query = [&[("first", first.as_str()), ("max", max.as_str())], *query].concat();
        let mut rows: Vec<T> = api.get(step, path, &query, "view-users").await?;
        let more = rows.len() >= ROWS + overlap;
        if let Some(last) = &self.last {
            if rows.first().map(id) != Some(last) {
                return self.moved(step);
            }
            rows.remove(0);
        }
        self.read += rows.len();
        self.last = rows.last().map(|row| id(row).to_owned()).or(self.last.take());
        Ok(Read::Page(rows, more))
    }

    fn moved<T>(&mut self, step: &'static str) -> Result<Read<T>, SourceError> {
        if self.attempt >= ATTEMPTS {
            let what = "its rows moved on every attempt".to_owned();
            return Err(SourceError::Malformed { step, what });
        }
        *self = Self { attempt: self.attempt + 1, ..Self::default() };
        Ok(Read::Moved)
    }
}
