//! Parses scalars: one function per format.

use std::net::SocketAddr;
use std::time::Duration;

use crate::domain::issuer::Algorithm;
use crate::domain::path::PathPattern;
use crate::domain::settings::audit::Decisions;
use crate::domain::time::Timestamp;

use super::problem::quoted;

/// The format of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Any text.
    Plain,
    /// A name that other keys, metrics and addresses refer to.
    Name,
    /// A duration above zero.
    Duration,
    /// A duration.
    DurationOrZero,
    /// The size limit of tokens.
    TokenSize,
    /// A point in time.
    Time,
    /// The path of a file or directory.
    File,
    /// An IP address and a port.
    Address,
    /// A percentage.
    Share,
    /// A URL.
    Url,
    /// A URL of a website or an LDAP server.
    Provider,
    /// A host pattern.
    Host,
    /// A principal pattern.
    Principal,
    /// A path pattern.
    Path,
    /// An HTTP method, or a right.
    Method,
    /// A header that may be read or set.
    Header,
    /// A signature algorithm.
    Algorithm,
    /// Which decisions are recorded.
    Decisions,
    /// SHA-256 of a certificate.
    Certificate,
}

impl Format {
    /// Checks whether a text has this format.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::Plain => plain(text),
            Self::Name => name(text),
            Self::Duration => positive_duration(text).map(drop),
            Self::DurationOrZero => duration(text).map(drop),
            Self::TokenSize => token_size(text).map(drop),
            Self::Time => time(text).map(drop),
            Self::File => plain(text),
            Self::Address => address(text).map(drop),
            Self::Share => share(text).map(drop),
            Self::Url => url(text),
            Self::Provider => provider(text),
            Self::Host => host(text).map(drop),
            Self::Principal => principal(text),
            Self::Path => path(text).map(drop),
            Self::Method => method(text),
            Self::Header => header(text).map(drop),
            Self::Algorithm => algorithm(text).map(drop),
            Self::Decisions => decisions(text).map(drop),
            Self::Certificate => certificate(text).map(drop),
        }
    }

    /// The format as a regular expression, as far as one can express it.
    #[must_use]
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Plain | Self::File => "^[^\\x00-\\x1f]+$",
            Self::Name => "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
            Self::Duration | Self::DurationOrZero => "^[0-9][0-9a-z ]*[a-zM]$",
            Self::TokenSize => "^[0-9]{1,9} ?(B|kB|KiB|MB|MiB)$",
            Self::Time => "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]+([Zz]|[+-][0-9:]+)$",
            Self::Address => "^.+:[0-9]{1,5}$",
            Self::Share => "^[0-9]{1,3}(\\.[0-9]+)?%$",
            Self::Url => "^https?://[^ ]+$",
            Self::Provider => "^(https?|ldaps?)://[^ ]+$",
            Self::Host => "^(\\*\\.)?[A-Za-z0-9._-]+$|^\\[[0-9A-Fa-f:.]+\\]$",
            Self::Principal => "^spiffe://[^*/]+/[^ ]+$",
            Self::Path => "^/[^?#]*$",
            Self::Method => "^[A-Za-z][A-Za-z-]*$",
            Self::Header => "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
            Self::Algorithm => "^(RS|PS)(256|384|512)$|^ES(256|384)$|^EdDSA$|^Ed25519$",
            Self::Decisions => "^(denied|all|sampled\\([0-9.]+\\))$",
            Self::Certificate => "^[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}$",
        }
    }
}

fn plain(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{} contains control characters", quoted(text)));
    }
    Ok(())
}

fn name(text: &str) -> Result<(), String> {
    let fits = text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if fits {
        Ok(())
    } else {
        Err(format!("{} is not a valid name: use letters, digits, `.`, `_` and `-`, at most 128", quoted(text)))
    }
}

/// A duration, with its unit.
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let no = || format!("{} is not a duration such as 10s, 5m or 90d", quoted(text));
    if !text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(no());
    }
    humantime::parse_duration(text).map_err(|_| no())
}

/// A duration above zero.
///
/// # Errors
/// What is wrong with it.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than zero".to_owned()),
        span => Ok(span),
    }
}

/// The lowest limit: tokens of most providers are larger.
const SMALLEST_TOKEN: usize = 1024;
/// The highest limit: a check with all its headers must fit into a message of 1 MiB.
const LARGEST_TOKEN: usize = 512 * 1024;

/// The size limit of tokens, with a unit.
///
/// # Errors
/// What is wrong with it.
pub fn token_size(text: &str) -> Result<usize, String> {
    let no = || format!("{} is not a size such as 16KiB", quoted(text));
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = text.strip_suffix(unit).unwrap_or_default();
    let factor: usize = match unit.trim_start() {
        "B" => 1,
        "kB" => 1000,
        "KiB" => 1024,
        "MB" => 1_000_000,
        "MiB" => 1024 * 1024,
        _ => return Err(no()),
    };
    let size = number.parse::<usize>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(no)?;
    if (SMALLEST_TOKEN..=LARGEST_TOKEN).contains(&size) {
        Ok(size)
    } else {
        Err(format!("{} is not between 1KiB and 512KiB", quoted(text)))
    }
}

/// A point in time.
///
/// # Errors
/// What is wrong with it.
pub fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("{} is not a time such as 2027-01-31T09:00:00Z", quoted(text)))
}

/// An IP address and a port.
///
/// # Errors
/// What is wrong with it.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("{} is not an IP address with a port, such as 127.0.0.1:9192 or [::]:9191", quoted(text)))
}

/// A percentage as a number from 0 to 1.
///
/// # Errors
/// What is wrong with it.
pub fn share(text: &str) -> Result<f64, String> {
    text.strip_suffix('%')
        .filter(|number| number.chars().all(|c| c.is_ascii_digit() || c == '.'))
        .and_then(|number| number.parse::<f64>().ok())
        .filter(|percent| (0.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| format!("{} is not a share such as 20%", quoted(text)))
}

fn url(text: &str) -> Result<(), String> {
    address_of(text, &["https://", "http://"])
}

fn provider(text: &str) -> Result<(), String> {
    address_of(text, &["https://", "http://", "ldaps://", "ldap://"])
}

fn address_of(text: &str, schemes: &[&str]) -> Result<(), String> {
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    if host.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("{} is not a URL such as https://idp.example.com/keys", quoted(text)));
    }
    if host.contains('@') {
        return Err("must not contain a user name or password".to_owned());
    }
    Ok(())
}

/// A host pattern, lower case.
///
/// # Errors
/// What is wrong with it.
pub fn host(text: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("{} is not a host pattern: {why}", quoted(text)));
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match inner.parse::<std::net::Ipv6Addr>() {
            Ok(_) => Ok(text.to_ascii_lowercase()),
            Err(_) => wrong("not an IPv6 address"),
        };
    }
    if text.contains(':') {
        return wrong("ports and schemes are not matched; remove them");
    }
    let labels = text.strip_prefix("*.").unwrap_or(text);
    if labels.contains('*') {
        return wrong("`*.` is allowed only at the beginning");
    }
    if text.len() > 253 || labels.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return wrong("empty or overlong label");
    }
    if !labels.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)) {
        return wrong("letters, digits, `-`, `_` and `.` only");
    }
    Ok(text.to_ascii_lowercase())
}

fn principal(text: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("{} is not a principal pattern: {why}", quoted(text)));
    let Some((domain, path)) = text.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')) else {
        return wrong("it must be spiffe://TRUST-DOMAIN/PATH");
    };
    if domain.is_empty() || domain.contains('*') {
        return wrong("the trust domain must be complete, without `*`");
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) || path.split('/').any(str::is_empty) {
        return wrong("empty segment or white space");
    }
    match path.find('*') {
        Some(at) if !matches!(path.as_bytes().get(at + 1), None | Some(b'/')) || path.matches('*').count() > 1 => {
            wrong("use at most one `*`, at the end of a segment")
        }
        _ => Ok(()),
    }
}

/// A path pattern.
///
/// # Errors
/// What is wrong with it.
pub fn path(text: &str) -> Result<PathPattern, String> {
    PathPattern::parse(text).map_err(|error| error.to_string())
}

fn method(text: &str) -> Result<(), String> {
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
    {
        Ok(())
    } else {
        Err(format!("{} is not an HTTP method", quoted(text)))
    }
}

/// Headers reserved for the connection or message framing (RFC 9110 section 7.6.1).
const UNTOUCHABLE: [&str; 12] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// The name of a header, lower case.
///
/// # Errors
/// What is wrong with it.
pub fn header(text: &str) -> Result<String, String> {
    if text.starts_with(':') {
        return Err(format!("{} is a pseudo header", quoted(text)));
    }
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || !text.chars().all(token) {
        return Err(format!("{} is not a header name", quoted(text)));
    }
    let name = text.to_ascii_lowercase();
    if UNTOUCHABLE.contains(&name.as_str()) {
        return Err(format!("{} is reserved for the connection", quoted(text)));
    }
    Ok(name)
}

/// A signature algorithm.
///
/// # Errors
/// What is wrong with it.
pub fn algorithm(text: &str) -> Result<Algorithm, String> {
    Algorithm::named(text).ok_or_else(|| {
        let names: Vec<_> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).chain(["Ed25519"]).collect();
        format!("{} is not one of the asymmetric algorithms {}", quoted(text), names.join(", "))
    })
}

/// Which decisions are recorded.
///
/// # Errors
/// What is wrong with it.
pub fn decisions(text: &str) -> Result<Decisions, String> {
    match text {
        "denied" => return Ok(Decisions::Denied),
        "all" => return Ok(Decisions::All),
        _ => {}
    }
    text.strip_prefix("sampled(")
        .and_then(|rest| rest.strip_suffix(')'))
        .filter(|number| number.chars().all(|c| c.is_ascii_digit() || c == '.'))
        .and_then(|number| number.parse::<f64>().ok())
        .filter(|share| *share > 0.0 && *share <= 1.0)
        .map(Decisions::Sampled)
        .ok_or_else(|| format!("{} is not one of denied, all, sampled(0.01)", quoted(text)))
}

/// SHA-256 of a certificate, lower-case hex.
///
/// # Errors
/// What is wrong with it.
pub fn certificate(text: &str) -> Result<String, String> {
    let digits = text.replace(':', "").to_ascii_lowercase();
    if digits.len() == 64 && digits.chars().all(|c| c.is_ascii_hexdigit()) {
        Ok(digits)
    } else {
        Err(format!("{} is not a hex SHA-256", quoted(text)))
    }
}

#[cfg(test)]
mod tests;
