//! Addresses at a provider: made of what is configured, or given by an answer and followed only to where we asked.

use reqwest::Url;

use super::error::SourceError;

/// The address below `base` with these segments and this query, whatever characters are in them.
///
/// # Errors
/// [`SourceError::Malformed`] where `base` can have no path.
pub fn below<S: AsRef<str>>(base: &Url, segments: &[S], query: &[(&str, &str)]) -> Result<Url, SourceError> {
    let mut url = base.clone();
    let malformed =
        |()| SourceError::Malformed { step: "make an address", what: "the `url` cannot have a path".to_owned() };
    url.path_segments_mut().map_err(malformed)?.pop_if_empty().extend(segments);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// Why an address is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stray {
    /// It is none.
    NoAddress,
    /// It leads to another host, to which our credential does not go.
    Elsewhere,
}

/// An address that an answer gave us, whole as it is. It gets our credential, so it must be at the configured origin:
/// same scheme, name and port, and nobody's password in it.
///
/// # Errors
/// [`Stray`].
pub fn followed(link: &str, base: &Url) -> Result<Url, Stray> {
    let url = Url::parse(link).map_err(|_| Stray::NoAddress)?;
    let own = url.origin() == base.origin() && url.username().is_empty() && url.password().is_none();
    if own { Ok(url) } else { Err(Stray::Elsewhere) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn an_address_takes_any_value() {
        let made = below(&url("https://idp.example/auth/"), &["users", "a/b?c"], &[("$select", "id,mail")]).unwrap();
        assert_eq!(made.as_str(), "https://idp.example/auth/users/a%2Fb%3Fc?%24select=id%2Cmail");
        assert_eq!(below(&url("https://idp.example"), &["a"], &[]).unwrap().as_str(), "https://idp.example/a");
        assert!(below(&url("mailto:somebody"), &["a"], &[]).is_err());
    }

    #[test]
    fn our_credential_goes_nowhere_else() {
        let base = url("https://idp.example/auth");
        let link = "https://idp.example/users/delta?$deltatoken=a_b-C%3d";
        assert_eq!(followed(link, &base).unwrap().as_str(), link, "whole, and as it is");
        assert!(followed("https://idp.example:443/users", &base).is_ok(), "the same port by its number");
        for elsewhere in [
            "http://idp.example/users",
            "https://idp.example:8443/users",
            "https://other.example/users",
            "https://idp.example.evil.example/users",
            "https://idp.example@evil.example/users",
            "https://me@idp.example/users",
            "https://:secret@idp.example/users",
            "data:,",
        ] {
            assert_eq!(followed(elsewhere, &base), Err(Stray::Elsewhere), "{elsewhere}");
        }
        for none in ["", "/users", "//idp.example/users"] {
            assert_eq!(followed(none, &base), Err(Stray::NoAddress), "{none}");
        }
    }
}
