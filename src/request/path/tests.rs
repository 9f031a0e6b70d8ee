use proptest::prelude::*;

use super::*;

fn forms(path: &str) -> Vec<String> {
    match Path::read("GET", path) {
        Path::Forms(forms) => forms.to_vec(),
        Path::Odd(why) => panic!("{path}: {why}"),
    }
}

fn odd(path: &str) -> &'static str {
    match Path::read("GET", path) {
        Path::Odd(why) => why,
        Path::Forms(forms) => panic!("{path}: {forms:?}"),
    }
}

#[test]
fn a_plain_path_has_one_form() {
    for plain in ["/", "/v1/orders/7", "/v1/orders/", "/a.b/c-d_e~f", "/pkg.Service/Method", "/a:b@c,d=e+f*"] {
        assert_eq!(forms(plain), [plain]);
    }
    assert_eq!(forms("/.well-known/openid-configuration").len(), 1);
    assert_eq!(forms("/a/...").len(), 1);
}

#[test]
fn the_query_takes_no_part() {
    assert_eq!(forms("/v1?x=%00&y=/../&z=%2541"), ["/v1"]);
    assert_eq!(forms("/v1??x"), ["/v1"]);
}

#[test]
fn the_form_as_it_was_sent_is_first() {
    for path in ["/a/../b", "//a", "/a;b", "/a\\b", "/a%2Fb", "/a%3B%5C"] {
        assert_eq!(forms(path)[0], path);
    }
    assert_eq!(forms("/%2e%2E/%61%2f%c3%b6 b".replace(' ', "%20").as_str())[0], "/../a%2F%C3%B6%20b");
}

#[test]
fn a_path_has_one_spelling() {
    for (path, form) in [
        ("/v1/[it]/x", "/v1/%5Bit%5D/x"),
        ("/v1/%5Bit%5d/%78", "/v1/%5Bit%5D/x"),
        ("/na%c3%afve", "/na%C3%AFve"),
        ("/na\u{ef}ve", "/na%C3%AFve"),
        ("/a%20b%7E%21", "/a%20b~!"),
        ("/x%2ejson", "/x.json"),
        ("/%2A/%2a", "/*/*"),
        ("/50%25", "/50%25"),
        ("/50%2520", "/50%2520"),
        ("/50%2541%25", "/50%2541%25"),
        ("/%25zz", "/%25zz"),
        ("/%09", "/%09"),
    ] {
        assert_eq!(forms(path), [form], "{path}");
    }
}

#[test]
fn every_known_trick_shows_what_it_hides() {
    for (path, hidden) in [
        ("/public/../admin", "/admin"),
        ("/public/./../admin", "/admin"),
        ("/public/%2e%2e/admin", "/admin"),
        ("/public/.%2E/admin", "/admin"),
        ("/public/..%2fadmin", "/admin"),
        ("/public%2F..%2Fadmin", "/admin"),
        ("/public\\..\\admin", "/admin"),
        ("/public/..%5cadmin", "/admin"),
        ("/public/..;/admin", "/admin"),
        ("/public/..;x=y/admin", "/admin"),
        ("/public/..%3Bx=y/admin", "/admin"),
        ("/public/.;a/..;x=y/admin", "/admin"),
        ("/admin;v=1/users;jsessionid=2", "/admin/users"),
        ("/admin%3bv=1", "/admin"),
        ("//admin", "/admin"),
        ("///admin//x", "/admin/x"),
        ("/%61dmin", "/admin"),
        ("/%61/b%2fc", "/a/b%2Fc"),
        ("/%63af%C3%A9%2Fx", "/caf%C3%A9%2Fx"),
        ("/%63af%c3%a9%2Fx", "/caf%C3%A9/x"),
        ("/a/b/../%2e%2E/c", "/a/../c"),
        ("//public/admin", "/admin"),
        ("/\\public/admin", "/admin"),
        ("/admin%3Fx/y", "/admin"),
        ("/admin%23/y", "/admin"),
        ("/a//../b", "/b"),
        ("/a//../b", "/a/b"),
        ("/a/b/..", "/a"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a"),
        ("/..", "/"),
        ("/../../a", "/a"),
    ] {
        assert!(forms(path).iter().any(|form| form == hidden), "{path}: {:?}", forms(path));
    }
}

#[test]
fn a_trailing_slash_and_case_stay_significant() {
    assert_eq!(forms("/v1/"), ["/v1/"]);
    assert_eq!(forms("/V1"), ["/V1"]);
    assert!(!forms("/a//b/").contains(&"/a/b".to_owned()));
}

#[test]
fn what_cannot_be_trusted_is_odd() {
    for (path, why) in [
        ("", "no path"),
        ("*", "not in origin form"),
        ("admin", "not in origin form"),
        ("Service/Method", "not in origin form"),
        ("?x", "not in origin form"),
        ("http://host/admin", "not in origin form"),
        ("/public#/../admin", "raw fragment"),
        ("/public?x#y", "raw fragment"),
        ("/a\0", "raw control character"),
        ("/a\tb", "raw control character"),
        ("/a%", "broken percent encoding"),
        ("/a%2", "broken percent encoding"),
        ("/a%zz", "broken percent encoding"),
        ("/a%%41", "broken percent encoding"),
        ("/a%u002e", "broken percent encoding"),
        ("/a%00", "encoded NUL, CR or LF"),
        ("/a%0d", "encoded NUL, CR or LF"),
        ("/a%0Ab", "encoded NUL, CR or LF"),
        ("/a%252e", "double encoding"),
        ("/a%25%32%65", "double encoding"),
        ("/a/%25252e%25252E/b", "double encoding"),
        ("/a%25%32%46", "double encoding"),
        ("/a%25253bx", "double encoding"),
        ("/a%2500", "double encoding"),
        ("/a%25c0%25af", "double encoding"),
        ("/a%c0%ae", "invalid UTF-8"),
        ("/a%e0%80%af", "invalid UTF-8"),
        ("/a%ed%a0%80", "invalid UTF-8"),
        ("/a%ff", "invalid UTF-8"),
    ] {
        assert_eq!(odd(path), why, "{path:?}");
    }
    assert_eq!(odd(&format!("/{}", "a".repeat(MAX_LENGTH))), "path is too long");
    assert_eq!(odd("//a;b\\..%2f%5c%61%20//./%3b/..;c%3f/%23/a\\;x"), "too many readings");
}

#[test]
fn what_has_no_path_matches_no_pattern() {
    assert_eq!(Path::read("CONNECT", ""), Path::Forms(Few::One(String::new())));
    assert_eq!(Path::read("OPTIONS", "*"), Path::Forms(Few::One("*".to_owned())));
    assert_eq!(Path::read("CONNECT", "/chat"), Path::Forms(Few::One("/chat".to_owned())), "RFC 8441");
    let all = crate::domain::path::PathPattern::parse("/**").unwrap();
    assert!(!all.matches("") && !all.matches("*"));
}

/// What Envoy makes of a path, by its own options; written apart from the code above.
fn envoy(path: &str, unescape_slashes: bool, normalize: bool, merge: bool) -> String {
    let mut path = path.to_owned();
    if unescape_slashes {
        for (escape, character) in [("%2f", "/"), ("%2F", "/"), ("%5c", "\\"), ("%5C", "\\")] {
            path = path.replace(escape, character);
        }
    }
    if normalize {
        path = path.replace('\\', "/").replace("%2e", ".").replace("%2E", ".").replace("%61", "a");
        let mut out: Vec<&str> = Vec::new();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        for (at, segment) in segments.iter().enumerate() {
            match *segment {
                "." | ".." => {
                    if *segment == ".." {
                        out.pop();
                    }
                    if at + 1 == segments.len() {
                        out.push("");
                    }
                }
                other => out.push(other),
            }
        }
        path = format!("/{}", out.join("/"));
    }
    if merge {
        while path.contains("//") {
            path = path.replace("//", "/");
        }
    }
    path
}

proptest! {
    #[test]
    fn any_text_is_read_and_every_form_begins_with_a_slash(path in "\\PC*|[\\x00-\\x7f]*|/([a.;%\\\\/?#]|%[0-9a-f]{2}){0,20}") {
        if let Path::Forms(forms) = Path::read("GET", &path) {
            prop_assert!(!forms.is_empty() && forms.len() <= MAX_FORMS);
            prop_assert!(forms[0] == "*" || forms.iter().all(|form| !form.contains(|c: char| !c.is_ascii_graphic())));
            for (at, form) in forms.iter().enumerate() {
                prop_assert!(form.starts_with('/'), "{form:?}");
                prop_assert!(!forms[..at].contains(form), "{form:?} twice");
            }
        }
    }

    #[test]
    fn forms_of_forms_are_forms(path in "/([ab.;/]|\\.\\.|%2e|%2F|%5c|%61|%3f|\\\\){0,8}") {
        if let Path::Forms(forms) = Path::read("GET", &path) {
            for form in forms.iter() {
                let Path::Forms(again) = all_forms(form) else { panic!("{form}") };
                prop_assert!(again.iter().all(|form| forms.contains(form)), "{form} in {forms:?}");
            }
        }
    }

    #[test]
    fn what_envoy_makes_of_it_is_a_form(
        path in "/([ab.]|/|\\.\\.|%2e|%2E|%2F|%2f|%5c|%61|\\\\|/\\.\\./|/\\./){0,7}",
        unescape in any::<bool>(), normalize in any::<bool>(), merge in any::<bool>(),
    ) {
        if let Path::Forms(forms) = Path::read("GET", &path) {
            let seen = envoy(&path, unescape, normalize, merge);
            let spelt = spelling::with_dots(spelling::spell(&seen));
            prop_assert!(forms.contains(&spelt), "{seen} not in {forms:?}");
        }
    }

    #[test]
    fn the_short_way_says_what_the_long_way_says(path in "/[a-z./]{0,12}") {
        let long = all_forms(&path);
        if is_plain(&path) {
            prop_assert_eq!(long, Path::Forms(Few::One(path)));
        }
    }
}

mod model;

#[test]
fn a_space_is_one_however_it_is_written() {
    assert_eq!(Path::read("GET", "/a b/c"), Path::read("GET", "/a%20b/c"));
    assert_eq!(Path::read("GET", "/a b/c?x y"), Path::Forms(Few::One("/a%20b/c".to_owned())));
}
