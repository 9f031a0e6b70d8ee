//! How a service app authenticates: with a JWT signed by its private key (`private_key_jwt`).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use crate::domain::time::Timestamp;

/// How long an assertion is valid, in seconds. Okta accepts up to an hour.
const LIFE: i64 = 300;
/// The curves of EC keys, with their `alg`.
const CURVES: [(&EcdsaSigningAlgorithm, &str); 3] = [
    (&ECDSA_P256_SHA256_FIXED_SIGNING, "ES256"),
    (&ECDSA_P384_SHA384_FIXED_SIGNING, "ES384"),
    (&ECDSA_P521_SHA512_FIXED_SIGNING, "ES512"),
];

/// The claims of an assertion.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// `iss` and `sub`.
    pub client_id: &'a str,
    /// `kid`
    pub key_id: Option<&'a str>,
    /// The address to which it is sent.
    pub audience: &'a str,
    /// The time there.
    pub now: Timestamp,
}

enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, &'static str),
}

impl Key {
    fn read(pem: &str) -> Result<Self, &'static str> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| "it holds no unencrypted private key in PEM form")?;
        let rsa = match &der {
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            _ => RsaKeyPair::from_pkcs8(der.secret_der()),
        };
        if let Ok(key) = rsa {
            return Ok(Self::Rsa(key));
        }
        let on = |(curve, name): (&'static EcdsaSigningAlgorithm, &'static str)| {
            EcdsaKeyPair::from_private_key_der(curve, der.secret_der()).ok().map(|key| Self::Ec(key, name))
        };
        CURVES.into_iter().find_map(on).ok_or("its key is neither RSA (2048 bit or more) nor EC (P-256, P-384, P-521)")
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_, name) => name,
        }
    }

    fn sign(&self, text: &str) -> Result<Vec<u8>, &'static str> {
        let failed = |_| "its key does not sign";
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Self::Ec(key, _) => {
                let signature = key.sign(&SystemRandom::new(), text.as_bytes()).map_err(failed)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }
}

/// Signs an assertion with the private key in `pem`. Each one is unique, as Okta may refuse one that it has seen.
///
/// # Errors
/// What is wrong with the key.
pub fn signed(pem: &str, claims: Claims<'_>) -> Result<String, &'static str> {
    let key = Key::read(pem)?;
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| "the system gives no random numbers")?;
    let issued = claims.now.as_millis() / 1000;
    let mut header = json!({ "alg": key.algorithm(), "typ": "JWT" });
    if let (Some(kid), Some(header)) = (claims.key_id, header.as_object_mut()) {
        header.insert("kid".to_owned(), json!(kid));
    }
    let payload = json!({ "iss": claims.client_id, "sub": claims.client_id, "aud": claims.audience,
        "iat": issued, "exp": issued + LIFE, "jti": hex::encode(random) });
    let encoded = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encoded(&header), encoded(&payload));
    let signature = key.sign(&text)?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
        VerificationAlgorithm,
    };
    use serde_json::Value;

    use super::*;

    fn claims(key_id: Option<&str>) -> Claims<'_> {
        Claims {
            client_id: "0oa1",
            key_id,
            audience: "https://x.okta.com/oauth2/v1/token",
            now: Timestamp::from_secs(7),
        }
    }

    fn part(token: &str, index: usize) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
    }

    fn verified(token: &str, algorithm: &'static dyn VerificationAlgorithm, public: &[u8]) {
        let (text, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(algorithm, public).verify(text.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn each_kind_of_key_signs_what_its_public_key_verifies() {
        let curves = [
            (&rcgen::PKCS_ECDSA_P256_SHA256, "ES256", &ECDSA_P256_SHA256_FIXED),
            (&rcgen::PKCS_ECDSA_P384_SHA384, "ES384", &ECDSA_P384_SHA384_FIXED),
        ];
        for (kind, name, verifies) in curves {
            let key = rcgen::KeyPair::generate_for(kind).unwrap();
            let token = signed(&key.serialize_pem(), claims(None)).unwrap();
            assert_eq!(part(&token, 0), json!({ "alg": name, "typ": "JWT" }));
            verified(&token, verifies, key.public_key_raw());
        }
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let token = signed(&key.serialize_pem(), claims(Some("k1"))).unwrap();
        assert_eq!(part(&token, 0), json!({ "alg": "RS256", "typ": "JWT", "kid": "k1" }));
        let pair = RsaKeyPair::from_pkcs8(key.serialized_der()).unwrap();
        verified(&token, &RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
        let payload = part(&token, 1);
        assert_eq!((&payload["iss"], &payload["sub"]), (&json!("0oa1"), &json!("0oa1")));
        assert_eq!((&payload["iat"], &payload["exp"]), (&json!(7), &json!(307)));
        let again = signed(&key.serialize_pem(), claims(None)).unwrap();
        assert_ne!(part(&again, 1)["jti"], payload["jti"]);
    }

    #[test]
    fn what_is_no_key_is_said_to_be_none() {
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in ["", "secret", certificate, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            let said = signed(text, claims(None)).unwrap_err();
            assert!(!said.contains("AAAA") && said.contains("key"), "{said}");
        }
    }
}
