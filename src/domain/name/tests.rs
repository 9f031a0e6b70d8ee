//! Tables of spellings, and what holds for all of them.

use proptest::prelude::*;

use super::*;

fn matches(rule: Compare, one: &str, other: &str) -> Option<Match> {
    let found = rule.matches(one, other);
    assert_eq!(found, rule.matches(other, one), "it matters not who asks: {one:?}, {other:?}");
    found
}

#[test]
fn exact_is_exact() {
    assert_eq!(matches(Compare::Exact, "00u1A", "00u1A"), Some(Match::Grants));
    for other in ["00u1a", "00u1A ", "00u1\u{391}"] {
        assert_eq!(matches(Compare::Exact, "00u1A", other), None, "{other:?}");
    }
}

#[test]
fn case_and_composition_do_not_count() {
    for (one, other) in [
        ("Ada.Lovelace@Example.ORG", "ada.lovelace@example.org"),
        ("ZO\u{cb}", "zoe\u{308}"),
        ("\u{391}\u{39d}\u{39d}\u{391}", "\u{3b1}\u{3bd}\u{3bd}\u{3b1}"),
        // Lower-casing knows the final sigma of Greek words.
        ("\u{39d}\u{399}\u{39a}\u{39f}\u{3a3}", "\u{3bd}\u{3b9}\u{3ba}\u{3bf}\u{3c2}"),
        ("\u{41e}\u{41b}\u{42c}\u{413}\u{410}", "\u{43e}\u{43b}\u{44c}\u{433}\u{430}"),
        ("Stra\u{df}e", "stra\u{df}e"),
    ] {
        assert_eq!(matches(Compare::IgnoreCase, one, other), Some(Match::Grants), "{one:?}, {other:?}");
    }
    for (one, other) in [("ada  l", "ada l"), (" ada", "ada"), ("strasse", "stra\u{df}e"), ("\u{ff41}da", "ada")] {
        assert_eq!(matches(Compare::IgnoreCase, one, other), None, "{one:?}, {other:?}");
    }
}

#[test]
fn an_ascii_letter_that_was_another_character_grants_nothing() {
    for (rule, one, other) in [
        (Compare::IgnoreCase, "\u{212a}im", "kim"),
        (Compare::IgnoreCase, "\u{212a}im", "Kim"),
        (Compare::IgnoreCase, "\u{130}van", "i\u{307}van"),
        (Compare::Prepared, "\u{17f}am", "sam"),
        (Compare::Prepared, "\u{ff53}am", "sam"),
        (Compare::Prepared, "\u{fb01}nn", "finn"),
        (Compare::Prepared, "Gro\u{df}", "gross"),
        (Compare::Prepared, "\u{212a}\u{212a}", "\u{212a}k"),
        (Compare::DistinguishedName, "uid=\u{212a}im,dc=x", "UID=kim,DC=x"),
        (Compare::DistinguishedName, r"uid=\E2\84\AAim,dc=x", "uid=kim,dc=x"),
        (Compare::Prepared, "bob\u{b2}", "bob2"),
        (Compare::Prepared, "a.b\u{ff20}x.example", "a.b@x.example"),
    ] {
        assert_eq!(matches(rule, one, other), Some(Match::Denies), "{rule:?}: {one:?}, {other:?}");
    }
    let escaped = (r"uid=gro\C3\9F,dc=x", "uid=Gro\u{df},dc=x");
    assert_eq!(matches(Compare::DistinguishedName, escaped.0, escaped.1), Some(Match::Grants), "the same character");
    // Both have the character at the same place: nobody became anybody else.
    for (one, other) in [("\u{130}van", "\u{130}VAN"), ("gro\u{df}", "Gro\u{df}"), ("\u{ff33}am", "\u{ff53}AM")] {
        assert_eq!(matches(Compare::Prepared, one, other), Some(Match::Grants), "{one:?}, {other:?}");
    }
    assert_eq!(matches(Compare::Prepared, "k\u{212a}", "\u{212a}k"), Some(Match::Denies), "at another place");
}

#[test]
fn ldap_compares_prepared_text() {
    for (one, other) in [
        ("JSmith", "jsmith"),
        ("  John   Smith ", "john smith"),
        ("John\u{a0}Smith", "John Smith"),
        ("John\u{ad}son", "johnson"),
        ("Jose\u{301}", "JOS\u{c9}"),
        ("a\tb", "a b"),
        ("zero\u{200b}width", "zerowidth"),
    ] {
        assert_eq!(matches(Compare::Prepared, one, other), Some(Match::Grants), "{one:?}, {other:?}");
    }
    for (one, other) in [("john smith", "johnsmith"), ("jsmith", "j.smith"), ("", " ")] {
        assert_eq!(matches(Compare::Prepared, one, other), None, "{one:?}, {other:?}");
    }
}

#[test]
fn what_cannot_be_prepared_is_compared_exactly() {
    for prohibited in ["A\u{fffd}b", "A\u{e000}b", "A\u{1f600}b"] {
        assert_eq!(matches(Compare::Prepared, prohibited, prohibited), Some(Match::Grants));
        assert_eq!(matches(Compare::Prepared, prohibited, &prohibited.to_lowercase()), None, "{prohibited:?}");
    }
}

#[test]
fn each_attribute_has_its_rule() {
    for directory in [Directory::File, Directory::Keycloak, Directory::Okta, Directory::Entra] {
        assert_eq!(directory.compares("id"), Compare::Exact, "{directory:?}");
        assert_eq!(directory.compares("email"), Compare::IgnoreCase, "{directory:?}");
        assert_eq!(directory.compares("username"), Compare::IgnoreCase, "{directory:?}");
        assert_eq!(directory.compares("employeeNumber"), Compare::Exact, "{directory:?}");
        assert_eq!(directory.compares_group("Payments"), Compare::Exact, "{directory:?}");
    }
    assert_eq!(Directory::Okta.compares("login"), Compare::IgnoreCase);
    assert_eq!(Directory::Entra.compares("userPrincipalName"), Compare::IgnoreCase);
    assert_eq!(Directory::Keycloak.compares("login"), Compare::Exact);
    let ldap = Directory::Ldap;
    for name in ["uid", "UID", "mail", "cn", "sAMAccountName", "userPrincipalName", "email", "username"] {
        assert_eq!(ldap.compares(name), Compare::Prepared, "{name}");
    }
    assert_eq!(ldap.compares("id"), Compare::Exact);
    assert_eq!(ldap.compares("employeeNumber"), Compare::IgnoreCase);
    assert_eq!(ldap.compares("seeAlso"), Compare::DistinguishedName);
    assert!(ldap.is_same_group("CN=Payments, OU=Groups,DC=x", "cn=payments,ou=groups,dc=x"));
    assert!(ldap.is_same_group("Payments  Team", "payments team"));
    assert!(!Directory::File.is_same_group("Payments", "payments"));
}

/// Text that often folds to the same: a few letters, in all their forms.
fn text() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "k", "K", "\u{212a}", "s", "S", "\u{17f}", "\u{df}", "i", "I", "\u{130}", "\u{131}", "e", "\u{301}", "\u{e9}",
        " ", "\u{a0}", "\u{fb01}", "f", "\u{3a3}", "\u{3c3}", "\u{3c2}", "\u{fffd}", "\u{ad}", ",", "=", "\\", "a",
        "2", "+",
    ]);
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn folding_twice_is_folding_once(text in text()) {
        for rule in Compare::ALL {
            let once = rule.fold(&text).text.into_owned();
            let twice = rule.fold(&once).text.into_owned();
            prop_assert_eq!(twice, once, "{:?}", rule);
        }
    }

    #[test]
    fn a_match_is_an_equivalence(one in text(), two in text(), three in text()) {
        for rule in Compare::ALL {
            prop_assert_eq!(rule.matches(&one, &one), Some(Match::Grants));
            if let (Some(first), Some(second)) = (rule.matches(&one, &two), rule.matches(&two, &three)) {
                let both = rule.matches(&one, &three);
                prop_assert!(both.is_some_and(|both| both >= first.min(second)), "{:?}", rule);
            }
        }
    }

    #[test]
    fn text_without_marks_is_ascii_or_makes_no_ascii(one in "[a-zA-Z ]{0,6}", two in text()) {
        for rule in Compare::ALL {
            let grants = rule.matches(&one, &two) == Some(Match::Grants);
            let foreign = two.chars().any(|c| !c.is_ascii() && rule.fold(&c.to_string()).text.bytes().any(|b| b.is_ascii_graphic()));
            prop_assert!(!(grants && foreign), "{:?}", rule);
        }
    }
}
