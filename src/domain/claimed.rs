//! What a token that was not verified says of itself.

use std::fmt;

use super::detail::escaped;
use super::time::Timestamp;

/// What an unverified token says of itself. Its author chose it, so it is escaped and truncated here; it is shown, marked as
/// claimed, and never looked up or taken for anybody's.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    /// `iss`
    pub issuer: Option<Box<str>>,
    /// `kid`
    pub key_id: Option<Box<str>>,
    /// `aud`: the first few.
    pub audiences: Vec<Box<str>>,
    /// `iat`
    pub issued: Option<Timestamp>,
    /// `nbf`
    pub not_before: Option<Timestamp>,
    /// `exp`
    pub expires: Option<Timestamp>,
}

/// Its author may have written anything, and logs may have none of it (law 10).
impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claimed")
    }
}

impl Claimed {
    /// A claimed text, fit to be shown.
    #[must_use]
    pub fn text(text: &str) -> Box<str> {
        escaped(text).into()
    }
}
