use serde_json::{Map, json};

use super::*;
use crate::jose::provider::Signer;
use crate::jose::tests::vector;

/// The public key of a signer, with these members changed; `null` takes one out.
fn jwk(signer: &Signer, changes: Value) -> Value {
    let mut members: Map<String, Value> = signer.jwk().as_object().unwrap().clone();
    for (name, value) in changes.as_object().unwrap() {
        members.insert(name.clone(), value.clone());
        members.retain(|_, value| !value.is_null());
    }
    Value::Object(members)
}

fn nameless(signer: &Signer) -> Value {
    jwk(signer, json!({ "kid": null }))
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn verify(keys: &KeySet, token: &str) -> Result<Thumbprint, Unverified> {
    let compact = Compact::split(token).unwrap();
    keys.verify(&compact, &compact.header().unwrap())
}

/// A token by `signer` whose header names this algorithm and, if at all, this `kid`.
fn token(signer: &Signer, algorithm: &str, kid: Option<&str>) -> String {
    let header = kid.map_or(json!({ "alg": algorithm }), |kid| json!({ "alg": algorithm, "kid": kid }));
    signer.sign_as(&header, b"{}")
}

fn signers(count: u8) -> Vec<Signer> {
    (0..count).map(|seed| Signer::new("", seed + 10)).collect()
}

fn key_of(file: &str) -> (Value, String) {
    let file: Value = serde_json::from_str(&vector(&format!("rfc_jose_cookbook/{file}"))).unwrap();
    let mut key = file["input"]["key"].clone();
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        key.as_object_mut().unwrap().remove(private);
    }
    (key, file["output"]["compact"].as_str().unwrap().to_owned())
}

#[test]
fn ed25519_is_eddsa_in_token_and_key() {
    let signer = Signer::new("a", 4);
    for in_key in [json!("Ed25519"), json!("EdDSA"), Value::Null] {
        let keys = set(&[jwk(&signer, json!({ "alg": in_key }))]);
        for in_token in ["Ed25519", "EdDSA"] {
            assert!(verify(&keys, &token(&signer, in_token, Some("a"))).is_ok(), "{in_key} {in_token}");
        }
    }
    assert!(Algorithm::named("ed25519").is_none() && Algorithm::named("Ed448").is_none());
}

#[test]
fn a_token_without_kid_may_be_by_any_key_that_fits() {
    let (one, other, third, stranger) =
        (Signer::new("x", 1), Signer::new("y", 2), Signer::new("", 3), Signer::new("x", 4));
    let keys = set(&[one.jwk(), other.jwk(), nameless(&third)]);
    for signer in [&one, &other, &third] {
        assert!(verify(&keys, &token(signer, "EdDSA", None)).is_ok());
    }
    assert_eq!(verify(&keys, &token(&stranger, "EdDSA", None)), Err(Unverified::BadSignature(3)));
    let words = Unverified::BadSignature(3).to_string();
    assert_eq!(words, "the signature is not valid for any of the 3 matching keys");
    let unfit = Unverified::NoneFits { algorithm: Algorithm::ES256, left_out: None };
    assert_eq!(verify(&keys, &token(&one, "ES256", None)), Err(unfit));
}

#[test]
fn keys_without_kid_serve_tokens_with_one_and_keys_with_another_never_do() {
    let (one, other, stranger) = (Signer::new("x", 1), Signer::new("", 2), Signer::new("", 3));
    let keys = set(&[one.jwk(), nameless(&other)]);
    assert!(verify(&keys, &token(&other, "EdDSA", Some("new"))).is_ok());
    assert!(verify(&keys, &token(&other, "EdDSA", Some("x"))).is_ok(), "also beside a key of that name");
    assert_eq!(verify(&keys, &token(&one, "EdDSA", Some("new"))), Err(Unverified::UnknownKid));
    assert_eq!(verify(&keys, &token(&stranger, "EdDSA", Some("new"))), Err(Unverified::UnknownKid));
    assert_eq!(verify(&keys, &token(&stranger, "EdDSA", Some("x"))), Err(Unverified::BadSignature(2)));
    assert!(Unverified::UnknownKid.is_unknown_key() && !Unverified::BadSignature(2).is_unknown_key());
}

#[test]
fn one_kid_for_two_kinds_of_keys_is_told_apart_by_the_algorithm() {
    let (mut rsa, by_rsa) = key_of("jws_4_1.rsa_v15_signature.json");
    let (mut ed, by_ed) = key_of("curve25519_jws.json");
    let kid = |token: &str| Compact::split(token).unwrap().header().unwrap().kid;
    // One of the two tokens names its key; the other key takes that name.
    let name = kid(&by_rsa).unwrap();
    rsa["kid"] = json!(name);
    ed["kid"] = json!(kid(&by_ed).unwrap_or_else(|| name.clone()));
    let keys = set(&[rsa.clone(), ed.clone()]);
    assert_eq!((keys.len(), keys.left_out()), (2, &[][..]));
    assert!(verify(&keys, &by_rsa).is_ok() && verify(&keys, &by_ed).is_ok());
    let signer = Signer::new("", 9);
    let keys = set(&[rsa.clone(), jwk(&signer, json!({ "kid": name.clone() }))]);
    assert!(verify(&keys, &token(&signer, "Ed25519", Some(&name))).is_ok() && verify(&keys, &by_rsa).is_ok());
    let wrong = verify(&keys, &token(&signer, "ES384", Some(&name)));
    assert_eq!(wrong, Err(Unverified::WrongAlgorithm(Algorithm::ES384)));
    // One kind, and still told apart, since each is for one algorithm.
    let (other, _) = key_of("jws_4_2.rsa-pss_signature.json");
    let named = |key: &Value, alg: &str, n: &Value| {
        let mut key = key.clone();
        (key["alg"], key["n"], key["kid"]) = (json!(alg), n.clone(), json!("r"));
        key
    };
    let mut modulus = vec![0xff; 256];
    modulus[9] = 0x7f;
    let modulus = json!(base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, modulus));
    assert_eq!(set(&[named(&other, "RS256", &other["n"]), named(&other, "PS256", &modulus)]).len(), 2);
    let doubled = set(&[named(&other, "RS256", &other["n"]), named(&other, "RS256", &modulus)]);
    assert_eq!((doubled.len(), doubled.left_out().len()), (0, 2));
}

#[test]
fn eight_keys_are_tried_and_what_comes_behind_is_named() {
    let many = signers(11);
    let keys = set(&many.iter().map(nameless).collect::<Vec<_>>());
    for (index, signer) in many.iter().enumerate() {
        for kid in [None, Some("any")] {
            assert_eq!(verify(&keys, &token(signer, "EdDSA", kid)).is_ok(), index < MAX_TRIED, "{index}");
        }
    }
    let named: Vec<(usize, &Unusable)> = keys.left_out().iter().map(|one| (one.number, &one.why)).collect();
    let never = Unusable::NeverTried(8);
    assert_eq!(named, [(9, &never), (10, &never), (11, &never)]);
    assert_eq!(keys.left_out()[0].to_string(), format!("key 9 of the set, without `kid`: {never}"));

    let kids = ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"];
    let with_kid: Vec<Value> = many.iter().zip(kids).map(|(signer, kid)| jwk(signer, json!({ "kid": kid }))).collect();
    let keys = set(&with_kid);
    assert!(verify(&keys, &token(&many[8], "EdDSA", Some("k8"))).is_ok(), "by its name");
    assert!(verify(&keys, &token(&many[8], "EdDSA", None)).is_err());
    assert_eq!(keys.left_out(), [UnusableKey { number: 9, kid: Some("k8".into()), why: Unusable::OnlyByName(8) }]);
    // The same material again and again is one key.
    let again: Vec<Value> = (0..9).map(|_| nameless(&many[0])).chain([nameless(&many[1])]).collect();
    let keys = set(&again);
    assert!(verify(&keys, &token(&many[1], "EdDSA", None)).is_ok() && keys.left_out().is_empty());
}

#[test]
fn odd_keys_are_left_out_one_by_one_each_with_its_reason() {
    let good = Signer::new("good", 1);
    let (rsa, _) = key_of("jws_4_1.rsa_v15_signature.json");
    let (n, short) = (rsa["n"].as_str().unwrap(), "A".repeat(42));
    let ec = |crv: &str, x: &str, y: &str| json!({ "kty": "EC", "crv": crv, "kid": "ec", "x": x, "y": y });
    let point = "A".repeat(43);
    let cases = [
        (ec("P-521", &point, &point), "its curve `P-521` is not supported"),
        (ec("secp256k1", &point, &point), "its curve `secp256k1` is not supported"),
        (ec("P-256", &short, &point), "its `x` has 31 bytes, and P-256 has 32"),
        (ec("P-384", &"A".repeat(64), &point), "its `y` has 32 bytes, and P-384 has 48"),
        (ec("P-256", &point, &point), "its point is not on the curve"),
        (json!({ "kty": "RSA", "kid": "r", "n": format!("{n}=="), "e": "AQAB" }), "its `n` is padded with `=`"),
        (json!({ "kty": "RSA", "kid": "r", "n": format!("+{n}"), "e": "AQAB" }), "its `n` is standard base64"),
        (json!({ "kty": "RSA", "kid": "r", "n": "8".repeat(171), "e": "AQAB" }), "its modulus has 1024 bits"),
        (json!({ "kty": "RSA", "kid": "r", "n": n }), "its `e` is missing"),
        (json!({ "kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "n": n, "e": "AQAB" }), "its `use` is `enc`"),
        (json!({ "kty": "RSA", "alg": "RSA-OAEP", "n": n, "e": "AQAB" }), "its algorithm `RSA-OAEP`"),
        (json!({ "kty": "oct", "alg": "HS512", "k": "AAAA" }), "it is symmetric"),
        (json!({ "kty": "LMS", "kid": "\u{1b}[31m" }), "its type `LMS` is not supported"),
        (json!("key"), "it is not a JSON object"),
    ];
    let all: Vec<Value> = cases.iter().map(|(key, _)| key.clone()).chain([good.jwk()]).collect();
    let keys = set(&all);
    assert!(verify(&keys, &token(&good, "EdDSA", Some("good"))).is_ok(), "the good one goes on");
    assert_eq!((keys.len(), keys.left_out().len()), (1, cases.len()));
    for (index, (one, (key, reason))) in keys.left_out().iter().zip(&cases).enumerate() {
        assert!(one.to_string().contains(reason), "{one} {key}");
        assert_eq!((one.number, one.kid.as_deref()), (index + 1, key["kid"].as_str()), "{key}");
        assert!(!one.to_string().contains('\u{1b}'), "{one}");
    }
    let named = verify(&keys, &token(&good, "EdDSA", Some("ec"))).unwrap_err();
    assert!(named.is_unknown_key() && named.to_string().contains("`P-521`"), "{named}");
    let none = verify(&set(&all[..1]), &token(&good, "EdDSA", None)).unwrap_err();
    assert_eq!(none.to_string(), "there is no key for EdDSA; left out is key `ec`: its curve `P-521` is not supported");
}

#[test]
fn null_is_absent_and_a_mark_before_the_set_is_ignored() {
    let signer = Signer::new("a", 1);
    let mut key = signer.jwk();
    for member in ["use", "alg", "key_ops", "d", "x5c", "kid"] {
        key[member] = Value::Null;
    }
    let document = format!("\u{feff}{}", json!({ "keys": [key] }));
    let keys = KeySet::parse(document.as_bytes()).unwrap();
    assert!(verify(&keys, &token(&signer, "EdDSA", Some("b"))).is_ok());
    assert!(KeySet::parse(format!("\u{feff}{document}").as_bytes()).is_err(), "one of them");
}
