//! A listing that is read page by page.
//!
//! Offsets shift when rows are added or removed (a deleted user was seen to make the next page skip another one). So
//! each page starts with the last row of the page before; if it does not, the listing starts again.

use serde::de::DeserializeOwned;

use super::api::Api;
use crate::source::error::SourceError;

/// Rows per request.
pub const ROWS: usize = 500;
/// How often a listing starts again because rows shifted.
const ATTEMPTS: usize = 3;

/// What to list.
pub struct RowQuery<'a, T> {
    /// The step, for errors.
    pub step: &'static str,
    /// The path.
    pub path: &'a [&'a str],
    /// The filter.
    pub query: &'a [(&'a str, &'a str)],
    /// What identifies a row.
    pub id: fn(&T) -> &str,
}

/// One page.
#[derive(Debug)]
pub enum Read<T> {
    /// Rows that were not in the page before, and whether there are more.
    Page(Vec<T>, bool),
    /// Rows have shifted. Discard what was read; the next page is the first again.
    Moved,
}

/// The position in a listing.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// How many rows were read.
    pub read: usize,
    last: Option<String>,
    attempt: usize,
}

impl Rows {
    /// Reads the next page.
    ///
    /// # Errors
    /// [`SourceError`] if the request fails; [`SourceError::Malformed`] if rows shift on every attempt, or the same
    /// page repeats.
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
