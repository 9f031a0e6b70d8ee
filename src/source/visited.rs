//! Pages that repeat: a listing that leads back to an earlier page would never end.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use super::error::SourceError;

/// How often each page was seen. A page is identified by its address, or by who is in it.
#[derive(Debug, Default)]
pub struct Visited(HashMap<u64, usize>);

impl Visited {
    /// Counts a page; returns how often it has been seen.
    pub fn count(&mut self, page: &(impl Hash + ?Sized)) -> usize {
        let mut hasher = DefaultHasher::new();
        page.hash(&mut hasher);
        let times = self.0.entry(hasher.finish()).or_default();
        *times += 1;
        *times
    }

    /// Notes a page that must not repeat.
    ///
    /// # Errors
    /// [`SourceError::Malformed`] if it was seen before.
    pub fn note(&mut self, step: &'static str, page: &(impl Hash + ?Sized)) -> Result<(), SourceError> {
        if self.count(page) == 1 {
            return Ok(());
        }
        Err(SourceError::Malformed { step, what: "a page repeats".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_of_pages_is_noticed() {
        let mut visited = Visited::default();
        for page in ["/?after=1", "/?after=2", "/?after=3"] {
            visited.note("list users", page).unwrap();
        }
        let error = visited.note("list users", "/?after=2").unwrap_err();
        assert_eq!(error.to_string(), "list users: a page repeats");
        let people = ["a", "b"];
        assert_eq!([visited.count(&people), visited.count(&people), visited.count(&["a"])], [1, 2, 1]);
    }
}
