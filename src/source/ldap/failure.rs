//! Why an operation failed: LDAP's numbers in words.

use ldap3::{LdapError, LdapResult};

use crate::source::error::{SourceError, chain};

/// The most characters of the server's own text, and of entry names, that are shown.
const WORDS: usize = 200;
/// The step that sends a password.
pub(super) const BIND: &str = "bind";

/// What a result other than success means.
pub(super) fn refused(step: &'static str, rc: u32, text: &str) -> SourceError {
    let said = if step == BIND { said_to_password(text) } else { said(text) };
    let forbidden = |advice: &str| SourceError::Forbidden { step, advice: format!("{advice}{said}") };
    let later = |cause: &str| SourceError::Unreachable { step, cause: format!("{cause} ({rc}){said}") };
    let wrong = |what: &str| SourceError::Misconfigured { step, what: format!("{what} ({rc}){said}") };
    match rc {
        49 => forbidden(
            "invalid credentials (49): the password in `bind_password_file` is wrong, `bind_dn` does not exist, or it \
             is locked or expired",
        ),
        50 => forbidden("insufficient access (50): `bind_dn` lacks the right to read this"),
        8 | 13 => forbidden("the server wants TLS or signing first: use ldaps:// or `start_tls: true`"),
        53 => forbidden("the server is unwilling to perform this (53)"),
        32 => wrong("there is no such entry: `base_dn` is wrong, or `bind_dn` may not see it"),
        10 => wrong("the server sent a referral, which is never followed: put the server that it names in `url`"),
        12 => wrong("the server does not support the control that this `sync` mode needs"),
        34 => wrong("`base_dn` or `bind_dn` is not a valid DN"),
        4 => wrong(
            "sizeLimitExceeded: the server cuts the answer off; raise the size limit of `bind_dn` (OpenLDAP: limits \
             dn.exact=… size=unlimited; 389 DS: nsSizeLimit: -1 in its entry)",
        ),
        3 => later(
            "timeLimitExceeded: the server ran out of time; raise the time limit of `bind_dn` (OpenLDAP: limits \
             dn.exact=… time=unlimited), or add indexes",
        ),
        11 => wrong(
            "adminLimitExceeded: the server's administrative limit is too low for this (OpenLDAP: limits dn.exact=… \
             size=unlimited size.pr=unlimited; 389 DS: nsLookThroughLimit: -1 in its entry)",
        ),
        51 => later("the server is busy"),
        52 => later("the server is unavailable"),
        _ => later("the server answered an error"),
    }
}

/// The server's text beside the number, on one line.
fn said(text: &str) -> String {
    let text = shown(text);
    if text.is_empty() { text } else { format!(": {text}") }
}

/// The same for a request with a password, which the text might repeat: only Active Directory's number (52e: wrong
/// password, 533: disabled, 775: locked).
fn said_to_password(text: &str) -> String {
    let number = text.split("data ").nth(1).and_then(|rest| rest.split(',').next());
    let number =
        number.filter(|number| matches!(number.len(), 1..=8) && number.bytes().all(|byte| byte.is_ascii_hexdigit()));
    number.map(|number| format!(": data {number}")).unwrap_or_default()
}

/// Somebody else's text, on one line and shortened.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORDS).collect()
}

/// What it means that an operation has no result.
pub(super) fn broken(step: &'static str, error: &LdapError) -> SourceError {
    match error {
        LdapError::LdapResult { result } => refused(step, result.rc, &result.text),
        LdapError::Timeout { .. } => SourceError::Unreachable { step, cause: "no answer in time".to_owned() },
        LdapError::FilterParsing => {
            SourceError::Misconfigured { step, what: "`people_filter` is not a valid LDAP filter".to_owned() }
        }
        LdapError::UrlParsing { .. } | LdapError::UnknownScheme(_) | LdapError::DNSName { .. } => {
            SourceError::Misconfigured { step, what: format!("`url`: {error}") }
        }
        LdapError::Io { source } if source.to_string() == "decoding error" => garbled(step),
        LdapError::EndOfStream | LdapError::ResultRecv { .. } | LdapError::OpSend { .. } => {
            SourceError::Unreachable { step, cause: "the connection was lost".to_owned() }
        }
        other => SourceError::Unreachable { step, cause: chain(other) },
    }
}

/// The answer is not LDAP.
pub(super) fn garbled(step: &'static str) -> SourceError {
    SourceError::Malformed { step, what: "the answer is not LDAP".to_owned() }
}

/// Success, or the error that the result means.
pub(super) fn checked(step: &'static str, result: &LdapResult) -> Result<(), SourceError> {
    if result.rc == 0 { Ok(()) } else { Err(refused(step, result.rc, &result.text)) }
}
