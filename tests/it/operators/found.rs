//! A token that somebody found: whose it is, and that it dies in every spelling.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Stage;

/// The order of P-256 (SEC 2, section 2.4.2).
const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

/// The same token with the other signature that its key vouches for: (r, n - s) in place of (r, s).
fn respelled(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let order = hex::decode(ORDER).unwrap();
    let mut borrow = 0_i16;
    for index in (0..32).rev() {
        let left = i16::from(order[index]) - i16::from(bytes[32 + index]) - borrow;
        borrow = i16::from(left < 0);
        bytes[32 + index] = u8::try_from(left.rem_euclid(256)).unwrap();
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

fn revoke(stage: &Stage, credential: &str) -> (i32, String) {
    let path = stage.files.path("found.txt");
    std::fs::write(&path, credential).unwrap();
    stage.run(&["revoke", "--credential-file", path.to_str().unwrap(), "--reason", "in a log"])
}

#[tokio::test]
async fn a_found_token_dies_in_every_spelling_and_is_kept_nowhere() {
    let stage = Stage::start().await;
    let (unnamed, named) = (stage.token("e1").await, stage.issuer.token("sub=e1&jti=t-7").await);
    let other = stage.issuer.token("sub=e1&jti=t-8").await;
    let again = respelled(&unnamed);
    for token in [&unnamed, &again, &named, &other] {
        assert_eq!(stage.reason(token).await, "allowed");
    }
    let (code, told) = revoke(&stage, &format!("Authorization: Bearer {unnamed}\n"));
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("dies with it: 2 tokens seen in use"), "{told}");
    for token in [&unnamed, &again] {
        assert_eq!(stage.reason(token).await, "revoked_token");
    }
    assert_eq!((stage.reason(&named).await, stage.reason(&other).await), ("allowed".into(), "allowed".into()));

    // Another token with the id dies too: one id, two ways to find it.
    let (code, told) = revoke(&stage, &named);
    assert_eq!(code, 0, "{told}");
    let twin = stage.issuer.token("sub=e1&jti=t-7&twin=1").await;
    assert_eq!(
        (stage.reason(&named).await, stage.reason(&twin).await),
        ("revoked_token".into(), "revoked_token".into())
    );
    assert_eq!(stage.reason(&other).await, "allowed");
    let rows = stage.revoked();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[0]["target"], format!("token {}|t-7 (as found)", stage.issuer.url));

    // Restored, all of it is.
    stage.said(&["restore", rows[0]["id"].as_str().unwrap(), "--reason", "it was a test"]);
    assert_eq!((stage.reason(&named).await, stage.reason(&twin).await), ("allowed".into(), "allowed".into()));

    let mut kept = stage.offboard.process.output();
    for directory in ["audit", "store"] {
        for file in std::fs::read_dir(stage.files.path(directory)).unwrap() {
            kept += &String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap());
        }
    }
    for token in [&unnamed, &named] {
        let payload = token.split('.').nth(1).unwrap();
        assert!(!kept.contains(payload), "the token stands somewhere");
    }
    assert!(kept.contains("a credential as found"), "but not that there was one");
}

#[tokio::test]
async fn an_expired_token_or_one_for_others_is_a_token_all_the_same() {
    let mut stage = Stage::start().await;
    for query in ["sub=e1&jti=old&ttl=-3600&iat=1700000000", "sub=e1&jti=far&aud=elsewhere"] {
        let (code, told) = revoke(&stage, &stage.issuer.token(query).await);
        assert_eq!(code, 0, "{told}");
    }
    stage.restart().await;
    assert_eq!(stage.reason(&stage.issuer.token("sub=e1&jti=far").await).await, "revoked_token", "from disk");
}

#[tokio::test]
async fn what_does_not_verify_revokes_nothing() {
    let stage = Stage::start().await;
    let good = stage.issuer.token("sub=e1&jti=t-1").await;
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (header, _) = good.split_once('.').unwrap();
    let claims = format!("{{\"iss\":\"{}\",\"sub\":\"e1\",\"jti\":\"t-1\",\"exp\":4000000000}}", stage.issuer.url);
    let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}"), URL_SAFE_NO_PAD.encode(&claims));
    let planted = format!("{header}.{}.{}", URL_SAFE_NO_PAD.encode(&claims), "A".repeat(86));
    let foreign = crate::support::issuer::DevIssuer::start().await.token("sub=e1&jti=t-1").await;
    let refresh = stage.issuer.token("sub=e1&jti=t-1&typ=Refresh").await;
    let id_token = stage.issuer.token("sub=e1&jti=t-1&typ=JWT&nonce=1").await;
    for (found, why) in [
        (format!("{signed}.AAAA"), "bad_signature"),
        (unsigned, "bad_signature"),
        (planted, "bad_signature"),
        (foreign, "no token of a configured issuer"),
        (refresh, "no access token that its issuer's rules accept"),
        (id_token, "no access token that its issuer's rules accept"),
        ("opaque".to_owned(), "has not the form of a token"),
        (String::new(), ""),
    ] {
        let (code, told) = revoke(&stage, &found);
        assert!(code == 1 && told.contains(why) && told.contains("--session ISS SID"), "{why}: {told}");
        assert!(found.is_empty() || !told.contains(&found), "{told}");
    }
    assert!(stage.revoked().is_empty());
    assert_eq!(stage.reason(&good).await, "allowed");
    let (code, told) = stage.run(&["revoke", "--credential-file", "/nowhere", "--reason", "x"]);
    assert!(code == 3 && told.contains("/nowhere"), "{told}");
}

#[tokio::test]
async fn a_token_in_place_of_an_identifier_is_kept_nowhere() {
    let stage = Stage::start().await;
    let token = stage.token("e1").await;
    let issuer = stage.issuer.url.clone();
    for target in [
        &["--token", &issuer, &token][..],
        &["--session", &issuer, &token],
        &["--subject", &issuer, &token],
        &["--client", &issuer, &token],
        &["--person", &token],
    ] {
        let told = stage.refused(&[&["revoke"], target, &["--reason", "leaked"]].concat());
        assert!(told.contains("--credential-file FILE") && !told.contains(&token), "{told}");
    }
    assert!(stage.revoked().is_empty());
    for command in [
        &["person", &token][..],
        &["revocations", "--person", &token],
        &["exempt", &token, "--expires", "1h", "--reason", "x"],
        &["restore", "--person", &token, "--reason", "x"],
    ] {
        let told = stage.refused(command);
        assert!(told.contains("is a token itself") && !told.contains(&token), "{told}");
    }
    assert!(!stage.offboard.process.output().contains(&token));
    for file in std::fs::read_dir(stage.files.path("audit")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap_or_default();
        assert!(!text.contains(&token), "the trail has a token");
    }
}
