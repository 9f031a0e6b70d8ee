//! Istio's own cases, as far as authentication decides them.

use super::*;

/// What a case comes to where it is not what Istio expects of authentication alone, and why.
const DIFFERENT: [(&str, &str); 1] =
    [("expired-token-cors-preflight-request-allowed", "a preflight shows no credential: a bad one denies")];

fn by(policy_name: &str) -> Authenticator {
    let keys = vector("istio_jwt/tests_common_jwks.json");
    let mut issuers: Vec<IssuerRules> = ["test-issuer-1@istio.io", "test-issuer-2@istio.io", "test-issuer-3@istio.io"]
        .iter()
        .map(|iss| IssuerRules { audiences: None, ..issuer(iss, iss) })
        .collect();
    if policy_name == "aud" {
        issuers[0].audiences = Some(Arc::from(["foo".to_owned()]));
    }
    // Istio's provider cannot be reached in these two: ours has never had keys then.
    let lost = matches!(policy_name, "timeout" | "invalid-jwks");
    offline(policy(issuers, vec![]), (!lost).then_some(keys.as_str())).0
}

/// Whether authentication alone lets the request go on.
fn holds(found: &[CredentialOutcome]) -> bool {
    found.iter().all(|shown| match shown {
        CredentialOutcome::Verified(verified) => {
            verified.flaw.is_none()
                && verified.dates(now()).is_none()
                && verified.required_audiences.as_deref().is_none_or(|required| verified.is_for(required))
        }
        CredentialOutcome::Rejected { .. } | CredentialOutcome::Foreign { .. } => false,
    })
}

#[tokio::test]
async fn istios_tokens_and_cases() {
    let file: Value = serde_json::from_str(&vector("istio_jwt/istio_jwt_cases.json")).unwrap();
    let tokens = file["tokens"].as_object().unwrap();
    assert_eq!(tokens.len(), 13);
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 49);
    for case in cases {
        let (name, policy_name) = (case["name"].as_str().unwrap(), case["policy"].as_str().unwrap());
        let by = by(policy_name);
        let mut all = true;
        for token in case["tokens"].as_array().unwrap().iter().filter_map(|token| tokens.get(token.as_str().unwrap())) {
            let value = format!("Bearer {}", token["token"].as_str().unwrap());
            all &= holds(&shown(&by, &[("authorization", &value)]).await);
        }
        let expected = match case["expect"].as_str().unwrap().trim() {
            "OK" => !DIFFERENT.iter().any(|(different, _)| *different == name),
            "Unauthorized" => false,
            // Istio judges audiences as authorization.
            "Forbidden" => name != "invalid-aud",
            other => panic!("{other}"),
        };
        assert_eq!(all, expected, "{policy_name} {name}");
    }
}

#[tokio::test]
async fn the_claims_of_istios_tokens_are_read_as_istio_wrote_them() {
    let file: Value = serde_json::from_str(&vector("istio_jwt/istio_jwt_cases.json")).unwrap();
    let by = by("authn-only");
    for (name, token) in file["tokens"].as_object().unwrap() {
        let found = shown(&by, &[("authorization", token["token"].as_str().unwrap())]).await;
        let [CredentialOutcome::Verified(verified)] = &found[..] else { panic!("{name}: {found:?}") };
        let payload = &token["payload"];
        assert_eq!(verified.flaw, None, "{name}");
        assert_eq!(payload["iss"], *verified.issuer, "{name}");
        assert_eq!(payload["sub"], verified.subject.as_deref().unwrap(), "{name}");
        assert_eq!(payload["azp"].as_str(), verified.client.as_deref(), "{name}");
        assert_eq!(verified.expires, payload["exp"].as_i64().map(Timestamp::from_secs), "{name}");
        assert_eq!(verified.issued, payload["iat"].as_i64().map(Timestamp::from_secs), "{name}");
        assert_eq!(verified.groups.len(), payload["groups"].as_array().map_or(0, Vec::len), "{name}");
    }
}
