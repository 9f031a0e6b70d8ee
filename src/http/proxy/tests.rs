use super::*;

fn proxies(variables: &[(&str, &str)]) -> Proxies {
    Proxies::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

fn way(proxies: &Proxies, url: &str) -> String {
    match proxies.way(&Url::parse(url).unwrap()) {
        Ok(Way::Direct) => "direct".to_owned(),
        Ok(Way::Exempt) => "exempt".to_owned(),
        Ok(Way::Loopback) => "loopback".to_owned(),
        Ok(Way::Proxy(proxy)) => proxy.url().to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn each_scheme_has_its_proxy() {
    let both = proxies(&[("HTTPS_PROXY", "http://tls.corp:3128"), ("HTTP_PROXY", "plain.corp:8080")]);
    assert_eq!(way(&both, "https://idp.example/keys"), "http://tls.corp:3128/");
    assert_eq!(way(&both, "http://idp.example/keys"), "http://plain.corp:8080/", "without a scheme it is http");
    let one = proxies(&[("HTTPS_PROXY", " https://tls.corp ")]);
    assert_eq!(way(&one, "https://idp.example"), "https://tls.corp/");
    assert_eq!(way(&one, "http://idp.example"), "direct");
    assert_eq!(
        way(&proxies(&[("ALL_PROXY", "http://all.corp")]), "https://idp.example"),
        "direct",
        "none of the three"
    );
}

#[test]
fn lower_case_counts_where_upper_case_says_nothing() {
    let lower = proxies(&[("https_proxy", "http://low:1"), ("no_proxy", "spared.example")]);
    assert_eq!(way(&lower, "https://idp.example"), "http://low:1/");
    assert_eq!(way(&lower, "https://spared.example"), "exempt");
    let both = proxies(&[("https_proxy", "http://low:1"), ("HTTPS_PROXY", "http://high:1")]);
    assert_eq!(way(&both, "https://idp.example"), "http://high:1/");
    let empty = proxies(&[("https_proxy", "http://low:1"), ("HTTPS_PROXY", " ")]);
    assert_eq!(way(&empty, "https://idp.example"), "http://low:1/");
}

#[test]
fn loopback_is_never_asked_through_a_proxy() {
    let all = proxies(&[("HTTPS_PROXY", "http://p:1"), ("HTTP_PROXY", "http://p:1")]);
    for host in
        ["localhost", "LOCALHOST.", "idp.localhost", "127.0.0.1", "127.8.9.1", "2130706433", "0.0.0.0", "[::1]", "[::]"]
    {
        for scheme in ["http", "https"] {
            assert_eq!(way(&all, &format!("{scheme}://{host}:8080/x")), "loopback", "{host}");
        }
    }
    assert_eq!(way(&all, "http://[::ffff:127.0.0.1]/"), "loopback");
    for host in ["localhost.example", "mylocalhost", "128.0.0.1", "[::2]"] {
        assert_eq!(way(&all, &format!("http://{host}/x")), "http://p:1/", "{host}");
    }
}

#[test]
fn no_proxy_spares_names_networks_and_ports() {
    let list = "corp.example, .dotted.example *.starred.example,10.20.0.0/14,192.0.2.7,2001:db8::/33,  \
                [fd00::1]:8443, ported.example:8443,MIXED.example,,10.0.0.0/33";
    let spared = proxies(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", list)]);
    for host in [
        "corp.example",
        "a.b.corp.example",
        "CORP.example.",
        "dotted.example",
        "x.dotted.example",
        "x.starred.example",
        "10.23.255.1",
        "192.0.2.7",
        "[2001:db8:7fff::1]",
        "ported.example:8443",
        "sub.ported.example:8443",
        "mixed.example",
        "[fd00::1]:8443",
    ] {
        assert_eq!(way(&spared, &format!("https://{host}")), "exempt", "{host}");
    }
    for host in [
        "notcorp.example",
        "corp.example.org",
        "10.24.0.1",
        "192.0.2.8",
        "[2001:db8:8000::1]",
        "ported.example",
        "ported.example:443",
        "[fd00::1]",
        "[::ffff:a18:1]",
    ] {
        assert_eq!(way(&spared, &format!("https://{host}")), "http://p:1/", "{host}");
    }
    assert_eq!(way(&spared, "https://[::ffff:192.0.2.7]"), "exempt", "the same address in another form");
    let all = proxies(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "*")]);
    assert_eq!(way(&all, "https://idp.example"), "exempt");
    let network = proxies(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "0.0.0.0/0")]);
    assert_eq!(way(&network, "https://8.8.8.8"), "exempt");
    assert_eq!(way(&network, "https://idp.example"), "http://p:1/", "a name is not looked up for this");
}

#[test]
fn what_is_no_proxy_is_an_error_and_no_way_around() {
    for odd in ["socks5://p:1080", "http://", "http://p:port", "ftp://p"] {
        let wrong = proxies(&[("HTTPS_PROXY", odd), ("NO_PROXY", "spared.example")]);
        let error = way(&wrong, "https://idp.example");
        assert_eq!(
            error, "`HTTPS_PROXY` is not the http:// or https:// address of a proxy: correct it or unset it",
            "{odd}"
        );
        assert_eq!(way(&wrong, "https://spared.example"), "exempt", "it is not needed there");
        assert_eq!(way(&wrong, "http://idp.example"), "direct");
    }
}

#[test]
fn neither_user_nor_password_is_shown() {
    let named = proxies(&[("HTTPS_PROXY", "http://scout:hunt%40er2@p.corp:3128/path?x=hunter3")]);
    let Ok(found @ Way::Proxy(_)) = named.way(&Url::parse("https://idp.example").unwrap()) else { panic!("{named:?}") };
    assert_eq!(found.to_string(), "; asked through the proxy http://p.corp:3128 (`HTTPS_PROXY`)");
    for shown in [format!("{found:?}"), format!("{named:?}")] {
        assert!(shown.contains("p.corp:3128") && !shown.contains("hunt") && !shown.contains("scout"), "{shown}");
    }
}
