//! Addresses at a provider: built from the configuration, or taken from an answer and followed only to the configured
//! origin.

use reqwest::Url;

use super::error::SourceError;

/// Builds an address below `base` from these segments and this query, and escapes any character in them.
///
/// # Errors
/// [`SourceError::Malformed`] if `base` cannot have a path.
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
    /// It is not an address.
    NoAddress,
    /// It points to another origin, which must not get our credential.
    Elsewhere,
}

/// Checks an address from an answer, and returns it unchanged. It gets our credential, so it must have the configured
/// origin (scheme, name and port) and no user name or password.
///
/// # Errors
/// [`Stray`] if it does not.
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
