//! What a refusal means, in words for the operator. It never quotes the provider's text, which repeats what it was
//! sent.

use reqwest::StatusCode;
use serde::Deserialize;

use crate::domain::settings::entra::Tenant;
use crate::source::http::Answer;

#[derive(Default, Deserialize)]
struct OfToken {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_codes: Vec<u64>,
}

#[derive(Deserialize)]
struct OfGraph {
    error: Code,
}

#[derive(Deserialize)]
struct Code {
    #[serde(default)]
    code: String,
}

/// The characters of a text that are safe to log.
fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect()
}

/// Why there is no token, and what to do.
pub fn of_token(answer: &Answer, tenant: &Tenant) -> String {
    let refusal: OfToken = answer.json().unwrap_or_default();
    let number = refusal.error_codes.first().copied().unwrap_or(0);
    in_words(&word(&refusal.error), number, tenant)
}

fn in_words(error: &str, number: u64, Tenant { tenant, client_id, .. }: &Tenant) -> String {
    let what = match number {
        7_000_215 => {
            "the secret in `client_secret_file` is wrong: it must be the secret's value, not its id".to_owned()
        }
        7_000_222 => "the secret in `client_secret_file` has expired: add a new one to the app registration".to_owned(),
        700_016 | 7_000_229 => format!("there is no application `{client_id}` in tenant `{tenant}`"),
        90_002 | 900_023 => format!("there is no tenant `{tenant}` under this `login_url`"),
        7_000_112 => format!("the application `{client_id}` is disabled"),
        500_011 => format!("tenant `{tenant}` does not know this `graph_url`: another cloud?"),
        53_003 => "a Conditional Access policy for workload identities blocks the application".to_owned(),
        _ => match error {
            "invalid_client" => format!("the application `{client_id}` or its secret in `client_secret_file` is wrong"),
            "unauthorized_client" => format!("the application `{client_id}` may not sign in to tenant `{tenant}`"),
            "invalid_request" => "`tenant` or `client_id` is malformed".to_owned(),
            "" => "the answer does not say why".to_owned(),
            other => format!("`{other}`"),
        },
    };
    if number == 0 { what } else { format!("{what} (AADSTS{number})") }
}

/// The `error.code` of a Graph answer.
pub fn code(answer: &Answer) -> Option<String> {
    let refusal: OfGraph = answer.json().ok()?;
    Some(word(&refusal.error.code)).filter(|code| !code.is_empty())
}

/// Whether the code means that the provider no longer knows the position.
pub fn wants_resync(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    code.starts_with("syncstate") || code.starts_with("resync") || code == "directory_expiredpagetoken"
}

/// What is missing if Graph refuses.
pub fn of_graph(answer: &Answer, right: &str, client_id: &str) -> String {
    if answer.status != StatusCode::FORBIDDEN {
        return "a new token is not accepted either".to_owned();
    }
    match code(answer) {
        Some(code) if code == "Authorization_RequestDenied" => format!(
            "give the application `{client_id}` the application permission `{right}` of Microsoft Graph, and grant \
             admin consent"
        ),
        Some(code) => format!("`{code}`"),
        None => "the answer is not from Microsoft Graph: check for a proxy in between".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_is_wrong() {
        let url = |text: &str| reqwest::Url::parse(text).unwrap();
        let tenant = Tenant {
            login_url: url("https://login"),
            graph_url: url("https://graph"),
            tenant: "corp.example".into(),
            client_id: "app-1".into(),
            client_secret_file: "/s".into(),
        };
        let says = |error, number| in_words(error, number, &tenant);
        assert!(says("invalid_client", 7_000_215).contains("`client_secret_file` is wrong"));
        assert!(says("invalid_client", 7_000_222).contains("has expired"));
        assert!(says("unauthorized_client", 700_016).contains("no application `app-1` in tenant `corp.example`"));
        assert!(says("invalid_request", 90_002).contains("no tenant `corp.example`"));
        assert!(says("invalid_client", 1).ends_with("(AADSTS1)"), "one that is not known yet can be looked up");
        assert_eq!(word("bad\nline <b>x</b> sécret"), "badlinebxbscret");
    }

    #[test]
    fn what_is_forgotten_is_listed_anew() {
        let known = ["syncStateNotFound", "SyncStateInvalid", "resyncRequired", "Directory_ExpiredPageToken"];
        assert!(known.into_iter().all(wants_resync));
        assert!(!wants_resync("Request_BadRequest"));
    }
}
