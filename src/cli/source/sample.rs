//! Reads a token for what `link` compares. Nothing is verified: no key is at hand.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::domain::source::Link;
use crate::source::directory::{Finding, Grade};

/// The link that decides for a token of `issuer`, and the value of its claim.
///
/// # Errors
/// What is wrong with the token.
pub(super) fn read(token: &str, issuer: &str, links: &[Link]) -> Result<(Link, String), Finding> {
    let bad = |text: String| Finding { grade: Grade::Bad, what: "token sample", text };
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = payload.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let claims = claims.filter(Value::is_object).ok_or_else(|| bad("the file does not contain a JWT".to_owned()))?;
    match claims.get("iss").and_then(Value::as_str) {
        Some(found) if found == issuer => {}
        found => {
            let found = found.map_or_else(|| "no `iss`".to_owned(), |found| format!("`iss` {found:?}"));
            return Err(bad(format!("it has {found}, but the source's issuer is {issuer:?}")));
        }
    }
    let deciding = links.iter().find_map(|link| Some((link, claim(&claims, &link.claim)?)));
    let Some((link, value)) = deciding else {
        let names: Vec<String> = links.iter().map(|link| format!("`{}`", link.claim)).collect();
        return Err(bad(format!("none of the claims in `link` is present: {}", names.join(", "))));
    };
    match value {
        Value::String(text) if !text.is_empty() => Ok((link.clone(), text.clone())),
        _ => Err(bad(format!("`{}` is empty or not a string; it matches nobody", link.claim))),
    }
}

/// A claim of exactly this name, else a path into nested objects.
fn claim<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| name.split('.').try_fold(claims, |inside, segment| inside.get(segment)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn links() -> Vec<Link> {
        let link = |claim: &str, attribute: &str| Link { claim: claim.into(), attribute: attribute.into() };
        vec![link("badge", "badge"), link("ext.upn", "userPrincipalName")]
    }

    #[test]
    fn the_first_claim_that_is_there_decides() {
        let read =
            |claims: &str| read(&token(claims), "https://idp", &links()).map(|(link, value)| (link.attribute, value));
        assert_eq!(
            read(r#"{"iss":"https://idp","badge":"77","ext":{"upn":"u"}}"#).unwrap(),
            ("badge".into(), "77".into())
        );
        let nested = read(r#"{"iss":"https://idp","ext":{"upn":"u@x"}}"#).unwrap();
        assert_eq!(nested, ("userPrincipalName".into(), "u@x".into()));
        for (claims, said) in [
            (r#"{"iss":"https://idp","badge":"","ext":{"upn":"u"}}"#, "`badge` is empty"),
            (r#"{"iss":"https://idp","sub":"u"}"#, "none of the claims in `link` is present: `badge`, `ext.upn`"),
            (r#"{"iss":"https://other","badge":"77"}"#, "https://other"),
            (r#"["iss"]"#, "not contain a JWT"),
        ] {
            let text = read(claims).unwrap_err().text;
            assert!(text.contains(said), "{claims}: {text}");
        }
        assert!(super::read("opaque", "https://idp", &links()).unwrap_err().text.contains("not contain a JWT"));
    }
}
