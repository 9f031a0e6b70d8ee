//! The method of a request.

use std::borrow::Cow;

/// Those that nearly all requests have.
const USUAL: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];

/// A method to keep; the usual ones are not copied.
#[must_use]
pub fn shared(method: &str) -> Cow<'static, str> {
    match USUAL.into_iter().find(|usual| *usual == method) {
        Some(usual) => Cow::Borrowed(usual),
        None => Cow::Owned(method.to_owned()),
    }
}
