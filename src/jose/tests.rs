//! Public vectors. Every case of every file is asserted: as its author says, or, where we are stricter by
//! design, as refused, with the reason in a table here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::jwks::{KeySet, Unusable};
use super::jws::{Compact, JwsError, MAX_TOKEN, claims_to_be_one};
use super::provider::{Signer, jwks};

pub(crate) fn vector(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json_vector(path: &str) -> Value {
    serde_json::from_str(&vector(path)).unwrap()
}

/// Whether a token verifies with a JWKS, as a JWS: no claim is read.
fn verifies(keys: &KeySet, token: &str) -> bool {
    let Ok(compact) = Compact::split(token) else { return false };
    let Ok(header) = compact.header() else { return false };
    keys.verify(&compact, &header).is_ok()
}

/// One JWK or a JWKS, as a set.
fn set(key: &Value) -> KeySet {
    let document = if key.get("keys").is_some() { key.clone() } else { json!({ "keys": [key] }) };
    KeySet::parse(document.to_string().as_bytes()).unwrap()
}

/// Valid by RFC 7515, refused by us.
const SYMMETRIC: &str = "symmetric: who can verify can sign";
const ES512: &str = "ES512 is not supported";
const OTHER_ALG: &str = "the key is for PS256 alone, the token says PS384";

const STRICTER_SIGNATURES: [(u64, &str); 14] = [
    (1, SYMMETRIC),
    (346, OTHER_ALG),
    (347, ES512),
    (348, SYMMETRIC),
    (350, OTHER_ALG),
    (351, ES512),
    (352, SYMMETRIC),
    (357, SYMMETRIC),
    (358, SYMMETRIC),
    (359, SYMMETRIC),
    (372, SYMMETRIC),
    (373, SYMMETRIC),
    (376, SYMMETRIC),
    (377, SYMMETRIC),
];

const STRICTER_KEYS: [(u64, &str); 4] = [(2, SYMMETRIC), (13, SYMMETRIC), (14, SYMMETRIC), (15, SYMMETRIC)];

fn wycheproof(path: &str, stricter: &[(u64, &str)], count: u64) {
    let file = json_vector(path);
    assert_eq!(file["numberOfTests"], count);
    let mut seen = BTreeMap::new();
    for group in file["testGroups"].as_array().unwrap() {
        let keys = set(group.get("public").unwrap_or(&group["private"]));
        for case in group["tests"].as_array().unwrap() {
            let id = case["tcId"].as_u64().unwrap();
            let valid = case["result"] == "valid";
            let listed = stricter.iter().find(|(listed, _)| *listed == id);
            assert!(valid || listed.is_none(), "case {id} is invalid anyway: take it off the list");
            let expected = valid && listed.is_none();
            assert_eq!(verifies(&keys, case["jws"].as_str().unwrap()), expected, "case {id} {}", case["comment"]);
            seen.insert(id, expected);
        }
    }
    assert_eq!(seen.len() as u64, count, "no case is left out");
}

#[test]
fn wycheproof_signatures() {
    wycheproof("jws_wycheproof/json_web_signature_test.json", &STRICTER_SIGNATURES, 401);
}

#[test]
fn wycheproof_keys() {
    wycheproof("jws_wycheproof/json_web_key_test.json", &STRICTER_KEYS, 26);
}

/// What a file of the cookbook shows.
enum Shows {
    /// A compact JWS that verifies with its key.
    Verifies,
    /// A compact JWS or JWE that is refused, or nothing in compact form at all.
    Refused,
    /// A key that is used.
    Usable,
    /// A key that is not, and why, in words.
    Unusable(&'static str),
}

const OCT: &str = "it is symmetric: whoever can verify with it can also sign";

const COOKBOOK: [(&str, Shows); 20] = [
    ("6.nesting_signatures_and_encryption.json", Shows::Refused),
    ("curve25519_jws.json", Shows::Verifies),
    ("jwe_5_1.key_encryption_using_rsa_v15_and_aes-hmac-sha2.json", Shows::Refused),
    ("jwe_5_6.direct_encryption_using_aes-gcm.json", Shows::Refused),
    ("jwe_5_9.compressed_content.json", Shows::Refused),
    ("jwk_3_1.ec_public_key.json", Shows::Unusable("its curve `P-521` is not supported")),
    ("jwk_3_2.ec_private_key.json", Shows::Unusable("its private part is published: anybody can sign with it")),
    ("jwk_3_3.rsa_public_key.json", Shows::Usable),
    ("jwk_3_4.rsa_private_key.json", Shows::Unusable("its private part is published: anybody can sign with it")),
    ("jwk_3_5.symmetric_key_mac_computation.json", Shows::Unusable(OCT)),
    ("jwk_3_6.symmetric_key_encryption.json", Shows::Unusable("it is not for signatures: its `use` is `enc`")),
    ("jws_4_1.rsa_v15_signature.json", Shows::Verifies),
    ("jws_4_2.rsa-pss_signature.json", Shows::Verifies),
    // ES512, with a P-521 key.
    ("jws_4_3.ecdsa_signature.json", Shows::Refused),
    // HS256.
    ("jws_4_4.hmac-sha2_integrity_protection.json", Shows::Refused),
    ("jws_4_5.signature_with_detached_content.json", Shows::Refused),
    // Unprotected headers exist in the JSON form only.
    ("jws_4_6.protecting_specific_header_fields.json", Shows::Refused),
    ("jws_4_7.protecting_content_only.json", Shows::Refused),
    ("jws_4_8.multiple_signatures.json", Shows::Refused),
    ("rfc7797_4.2.hmac-sha2_b64_false.json", Shows::Refused),
];

/// Files beside those: the same in another form.
const COOKBOOK_TWINS: [&str; 1] = ["rfc7797_hmac-sha2_b64_false.json"];

/// The public part of a key.
fn public(key: &Value) -> Value {
    let mut key = key.clone();
    if key["kty"] != "oct" {
        let members = key.as_object_mut().unwrap();
        for private in ["d", "p", "q", "dp", "dq", "qi"] {
            members.remove(private);
        }
    }
    key
}

#[test]
fn the_cookbook() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/rfc_jose_cookbook");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !COOKBOOK_TWINS.contains(&name.as_str()))
        .collect();
    names.sort();
    assert_eq!(names, COOKBOOK.map(|(name, _)| name), "each file is in the table");
    for (name, shows) in &COOKBOOK {
        let file = json_vector(&format!("rfc_jose_cookbook/{name}"));
        match shows {
            Shows::Usable => assert_eq!(set(&file).len(), 1, "{name}"),
            Shows::Unusable(why) => assert_eq!(set(&file).left_out()[0].why.to_string(), *why, "{name}"),
            Shows::Verifies => {
                let keys = set(&public(&file["input"]["key"]));
                assert!(verifies(&keys, file["output"]["compact"].as_str().unwrap()), "{name}");
            }
            Shows::Refused => assert_refused(name, &file),
        }
    }
    for name in COOKBOOK_TWINS {
        assert_refused(name, &json_vector(&format!("rfc_jose_cookbook/{name}")));
    }
}

fn assert_refused(name: &str, file: &Value) {
    let nested = file.get("encrypt").unwrap_or(file);
    let output = &nested["output"];
    let keys = match nested["input"]["key"] {
        Value::Array(ref keys) => set(&json!({ "keys": keys.iter().map(public).collect::<Vec<_>>() })),
        ref key => set(&public(key)),
    };
    for form in ["compact", "json", "json_flat"] {
        let text = match output.get(form) {
            None => continue,
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        assert!(!verifies(&keys, &text), "{name} {form}");
    }
}

#[test]
fn the_nested_token_of_the_cookbook_is_a_sound_jws_inside() {
    let file = json_vector("rfc_jose_cookbook/6.nesting_signatures_and_encryption.json");
    let keys = set(&public(&file["sign"]["input"]["key"]));
    assert!(verifies(&keys, file["sign"]["output"]["compact"].as_str().unwrap()));
}

#[test]
fn tokens_of_istio_verify_with_its_keys() {
    let keys = KeySet::parse(vector("istio_jwt/jwks.json").as_bytes()).unwrap();
    for name in ["demo.jwt", "groups-scope.jwt"] {
        assert!(verifies(&keys, vector(&format!("istio_jwt/{name}")).trim()), "{name}");
    }
}

fn header_of(members: &Value) -> Result<super::jws::Header, JwsError> {
    let token = Signer::new("a", 1).sign_as(members, b"{}");
    Compact::split(&token).unwrap().header()
}

#[test]
fn a_header_that_would_change_the_meaning_is_refused() {
    assert!(header_of(&json!({ "alg": "EdDSA", "jku": "https://evil", "jwk": {}, "x5u": 1, "x5c": [] })).is_ok());
    for (members, error) in [
        (json!({ "alg": "EdDSA", "crit": [] }), JwsError::Unsupported("crit")),
        (json!({ "alg": "EdDSA", "b64": true }), JwsError::Unsupported("b64")),
        (json!({ "alg": "EdDSA", "zip": "DEF" }), JwsError::Unsupported("zip")),
        (json!({ "alg": "dir", "enc": "A128GCM" }), JwsError::Unsupported("enc")),
        (json!({ "alg": "none" }), JwsError::Algorithm),
        (json!({ "alg": "eddsa" }), JwsError::Algorithm),
        (json!({ "alg": "HS256" }), JwsError::Algorithm),
        (json!({ "alg": ["EdDSA"] }), JwsError::Member("alg")),
        (json!({}), JwsError::Member("alg")),
        (json!({ "alg": "EdDSA", "kid": 7 }), JwsError::Member("kid")),
        (json!({ "alg": "EdDSA", "kid": "k".repeat(257) }), JwsError::Member("kid")),
        (json!({ "alg": "EdDSA", "typ": null }), JwsError::Member("typ")),
    ] {
        assert_eq!(header_of(&members), Err(error), "{members}");
    }
    let twice = format!("{}.e30.AA", base64(br#"{"alg":"EdDSA","alg":"EdDSA"}"#));
    assert_eq!(Compact::split(&twice).unwrap().header(), Err(JwsError::Json("header")));
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn the_compact_form_is_read_strictly() {
    let good = Signer::new("a", 1).sign(&json!({}));
    let keys = KeySet::parse(jwks(&[&Signer::new("a", 1)]).as_bytes()).unwrap();
    assert!(verifies(&keys, &good));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    // The last of 86 characters holds 4 stray bits: the same signature, written in another way.
    let stray = |last: char| char::from_u32(u32::from(last) + 1).unwrap();
    let stray = format!("{signed}.{}{}", signature.get(..85).unwrap(), stray(signature.chars().last().unwrap()));
    for bad in [
        String::new(),
        "a.b".to_owned(),
        format!("{good}.AA"),
        format!("{good}="),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{signed}."),
        format!("{signed}.{}", signature.replacen(|_| true, "+", 1)),
        stray,
        good.replacen('.', "=.", 1),
    ] {
        assert!(!verifies(&keys, &bad), "{bad}");
    }
    assert_eq!(Compact::split(&"a".repeat(MAX_TOKEN + 1)), Err(JwsError::TooLong));
    assert_eq!(Compact::split("a.b.c.d.e"), Err(JwsError::Parts));
}

#[test]
fn what_claims_to_be_a_jws_is_told_from_opaque_tokens() {
    let good = Signer::new("a", 1).sign(&json!({}));
    for text in [good.as_str(), "eyJhbGciOiJub25lIn0.", "eyJ.x", "xx.eyJpc3MiOiJ9.x", "IHsi.a.b"] {
        assert!(claims_to_be_one(text), "{text}");
    }
    for text in ["", "abc", "eyJhbGciOiJub25lIn0", "ofb_live_1.2", "2YotnFZFEjr1zCsicMWpAA", "a.b.c"] {
        assert!(!claims_to_be_one(text), "{text}");
    }
}

fn why(key: Value) -> Option<Unusable> {
    set(&key).left_out().first().map(|one| one.why.clone())
}

fn with(members: &[(&str, Value)]) -> Value {
    let mut key: Map<String, Value> = Signer::new("a", 1).jwk().as_object().unwrap().clone();
    for (name, value) in members {
        key.insert((*name).to_owned(), value.clone());
    }
    Value::Object(key)
}

#[test]
fn a_key_that_must_not_verify_is_left_out_by_name() {
    assert_eq!(why(with(&[])), None);
    assert_eq!(why(with(&[("key_ops", json!(["verify"]))])), None);
    for (members, expected) in [
        (("use", json!("enc")), Unusable::Use("enc".into())),
        (("use", json!(1)), Unusable::WrongType("use", "a string")),
        (("key_ops", json!(["sign"])), Unusable::KeyOps),
        (("key_ops", json!("verify")), Unusable::WrongType("key_ops", "a list")),
        (("d", json!("AA")), Unusable::Private),
        (("kty", json!("oct")), Unusable::Symmetric),
        (("kty", json!("AKP")), Unusable::Type("AKP".into())),
        (("kty", json!(null)), Unusable::Missing("kty")),
        (("crv", json!("Ed448")), Unusable::Curve("Ed448".into())),
        (("alg", json!("RS256")), Unusable::Mismatch("RS256")),
        (("alg", json!("HS256")), Unusable::Algorithm("HS256".into())),
        (("kid", json!(["a"])), Unusable::WrongType("kid", "a string")),
        (("kid", json!("k".repeat(257))), Unusable::LongKid),
        (("x", json!("AA")), Unusable::Length { member: "x", bytes: 1, crv: "Ed25519", size: 32 }),
        (("x", json!(format!("{}=", "A".repeat(43)))), Unusable::Padded("x")),
        (("x", json!(format!("{}+", "A".repeat(42)))), Unusable::StandardBase64("x")),
        (("x", json!("*")), Unusable::Encoding("x")),
    ] {
        assert_eq!(why(with(std::slice::from_ref(&members))), Some(expected), "{members:?}");
    }
    let rsa = |n: Vec<u8>, e: &str| why(json!({ "kty": "RSA", "n": base64(&n), "e": e }));
    assert_eq!(rsa(vec![0xff; 256], "AQAB"), None);
    assert_eq!(rsa([vec![0; 2], vec![0xff; 256]].concat(), "AQAB"), None, "leading zeros do not count");
    assert_eq!(rsa(vec![0xff; 255], "AQAB"), Some(Unusable::ModulusBits(2040)));
    assert_eq!(rsa(vec![0xfe; 256], "AQAB"), Some(Unusable::EvenModulus));
    assert_eq!(rsa(vec![0xff; 256], "AQ"), Some(Unusable::WeakExponent));
    assert_eq!(rsa(vec![0xff; 256], "Ag"), Some(Unusable::WeakExponent));
    assert_eq!(rsa(vec![0xff; 256], ""), Some(Unusable::WeakExponent));
}

#[test]
fn a_doubled_kid_is_refused_unless_it_is_the_same_key() {
    let (one, other) = (Signer::new("a", 1), Signer::new("a", 2));
    let (b, token) = (Signer::new("b", 3), one.sign(&json!({})));
    let doubled = KeySet::parse(jwks(&[&one, &b, &other]).as_bytes()).unwrap();
    assert!(!verifies(&doubled, &token) && !verifies(&doubled, &other.sign(&json!({}))));
    assert!(verifies(&doubled, &b.sign(&json!({}))), "the others go on");
    assert_eq!(doubled.left_out().len(), 2);
    assert!(verifies(&KeySet::parse(jwks(&[&one, &one]).as_bytes()).unwrap(), &token));
}

#[test]
fn a_document_that_is_no_key_set_is_an_error() {
    for odd in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(KeySet::parse(odd.as_bytes()).is_err(), "{odd}");
    }
    assert!(KeySet::parse(json!({ "keys": vec![1; 100] }).to_string().as_bytes()).is_ok());
    assert!(KeySet::parse(json!({ "keys": vec![1; 101] }).to_string().as_bytes()).is_err());
    assert!(KeySet::parse(format!("{{\"keys\":[]{}}}", " ".repeat(1 << 20)).as_bytes()).is_err());
}

#[test]
fn the_thumbprint_is_that_of_rfc_7638() {
    // RFC 7638 section 3.1.
    let key = json!({ "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29", "n": concat!(
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3",
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA",
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-",
        "kEgU8awapJzKnqDKgw") });
    assert_eq!(base64(&set(&key).thumbprints()[0]), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}
