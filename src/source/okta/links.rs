//! The next page of a listing: the `Link` header with `rel="next"` (RFC 8288). It is followed only on the configured
//! host.

use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};

use crate::source::address::{Stray, followed};

/// The address of the next page, if there is one.
///
/// # Errors
/// What is wrong with it. The credential goes only to the configured host.
pub fn next(headers: &HeaderMap, base: &Url) -> Result<Option<Url>, &'static str> {
    let values = headers.get_all(LINK).into_iter().filter_map(|value| value.to_str().ok());
    let Some(target) = values.flat_map(targets).find_map(|(target, is_next)| is_next.then_some(target)) else {
        return Ok(None);
    };
    followed(target, base).map(Some).map_err(|stray| match stray {
        Stray::NoAddress => "its `next` link has no URL",
        Stray::Elsewhere => "its next page is on another host: not followed",
    })
}

/// The links of one header, each with whether it is the next page.
fn targets(value: &str) -> Vec<(&str, bool)> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((target, after)) = after.split_once('>') else { break };
        // The parameters of this link end where the next link begins.
        let (parameters, others) = after
            .split_once('<')
            .map_or((after, ""), |(parameters, _)| (parameters, after.get(parameters.len()..).unwrap_or_default()));
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let Some((name, value)) = parameter.split_once('=') else { return false };
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|one| one.eq_ignore_ascii_case("next"))
        });
        found.push((target, is_next));
        rest = others;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: &[&str]) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(LINK, value.parse().unwrap());
        }
        let base = Url::parse("https://x.okta.com").unwrap();
        next(&headers, &base).map(|url| url.map(|url| url.to_string()))
    }

    #[test]
    fn the_next_page_is_found_among_repeated_headers() {
        let own = "<https://x.okta.com/api/v1/logs?limit=2>; rel=\"self\"";
        let after = "<https://x.okta.com/api/v1/logs?limit=2&after=1_2>; rel=\"next\"";
        let page = Ok(Some("https://x.okta.com/api/v1/logs?limit=2&after=1_2".to_owned()));
        assert_eq!(found(&[own, after]), page);
        assert_eq!(found(&[&format!("{own}, {after}")]), page, "in one header");
        assert_eq!(found(&[&format!("{after},{own}")]), page);
        assert_eq!(found(&["<https://x.okta.com/api/v1/logs?limit=2&after=1_2>;title=\"a, b\"; REL=next"]), page);
        assert_eq!(found(&[own]), Ok(None));
        assert_eq!(found(&[]), Ok(None));
        assert_eq!(found(&["garbage", "<half", "rel=\"next\""]), Ok(None));
        assert_eq!(found(&["<https://x.okta.com/a?rel=next>; rel=\"prev\""]), Ok(None));
        let comma = "<https://x.okta.com/a?q=1,2;rel=next>; rel=\"self\", <https://x.okta.com/b>; rel=\"next\"";
        assert_eq!(found(&[comma]), Ok(Some("https://x.okta.com/b".to_owned())));
    }

    #[test]
    fn the_credential_goes_nowhere_else() {
        let elsewhere = found(&["<https://y.okta.com/api/v1/logs>; rel=\"next\""]).unwrap_err();
        assert!(elsewhere.contains("on another host"), "{elsewhere}");
        let none = found(&["</api/v1/logs>; rel=\"next\""]).unwrap_err();
        assert!(none.contains("has no URL"), "{none}");
    }
}
