//! The host of a request, comparable with the patterns of services.

/// The host in lower case, without port and trailing dots; an IPv6 literal keeps its brackets. `None` if there is none.
///
/// # Errors
/// Why it is not an authority that a client may send (RFC 9110 section 7.2): a user, a port that is not a number, or
/// a character that no host has. A proxy that routes by such a name may see another host than we do.
pub(super) fn read(authority: &str) -> Result<Option<String>, &'static str> {
    if authority.is_empty() {
        return Ok(None);
    }
    let host = without_port(authority)?.trim_end_matches('.');
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let fits = match literal {
        Some(address) => !address.is_empty() && address.bytes().all(in_literal),
        None => host.bytes().all(in_name),
    };
    match fits {
        true => Ok(Some(host.to_ascii_lowercase()).filter(|host| !host.is_empty())),
        false => Err("host contains characters that no host may have"),
    }
}

/// Removes `:port`. More than one colon outside brackets means an IPv6 address without brackets, which has no port.
fn without_port(authority: &str) -> Result<&str, &'static str> {
    let cut = match authority.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => Some((host, port)),
        _ => None,
    };
    match cut {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Ok(host),
        Some(_) => Err("port is not a number"),
        None => Ok(authority),
    }
}

/// Characters of a registered name or IPv4 address (RFC 3986 section 3.2.2), `_` as in Kubernetes and DNS, and `:` for an
/// IPv6 address without brackets. No comma: two hosts are not one.
fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%:".contains(&byte)
}

/// Characters of an IPv6 or later literal, with a zone.
fn in_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":.%-_~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::read;
    use proptest::prelude::*;

    fn host(authority: &str) -> Option<String> {
        read(authority).unwrap()
    }

    #[test]
    fn case_port_and_trailing_dot_make_no_difference() {
        for same in
            ["api.example.com", "API.Example.COM", "api.example.com:443", "api.example.com.", "Api.Example.Com.:8"]
        {
            assert_eq!(host(same).as_deref(), Some("api.example.com"), "{same}");
        }
        assert_eq!(host("api.example.com:").as_deref(), Some("api.example.com"));
        assert_eq!(host("10.0.0.1:80").as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn ipv6_literals_keep_their_brackets() {
        assert_eq!(host("[2001:DB8::1]:443").as_deref(), Some("[2001:db8::1]"));
        assert_eq!(host("[::1]").as_deref(), Some("[::1]"));
        assert_eq!(host("::1").as_deref(), Some("::1"));
        assert_eq!(host("2001:db8::80").as_deref(), Some("2001:db8::80"), "its last group is no port");
    }

    #[test]
    fn no_host_is_none() {
        assert_eq!(host(""), None);
        assert_eq!(host(":80"), None);
        assert_eq!(host("."), None);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for odd in
            ["user@api", "api/x", "api\\x", "api?x", "api#x", "a b", "a,b", "é", "api:8a", "[::1", "[]", "[a@b]", "a\0"]
        {
            assert!(read(odd).is_err(), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn reading_twice_changes_nothing(authority in "\\PC{0,20}|[a-zA-Z0-9.:\\[\\]-]{0,20}") {
            if let Ok(Some(once)) = read(&authority) {
                prop_assert_eq!(read(&once).map(|twice| twice.map(|twice| twice.len() <= once.len())), Ok(Some(true)));
            }
        }
    }
}
