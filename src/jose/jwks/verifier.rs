//! Verifies signatures with a key that is read once.
//!
//! The verifiers that come with `jsonwebtoken` read their key anew for each token, which costs as much as all else that is
//! done with a new token. So this is one of our own, with its trait and over the same library.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};
use jsonwebtoken::crypto::JwtVerifier;
use jsonwebtoken::signature::{Error, Verifier};

use super::material::Numbers;
use super::unusable::Unusable;
use crate::domain::issuer::Algorithm;

/// A key, ready for one algorithm.
#[derive(Clone)]
pub(super) struct KeyVerifier {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

/// What the crypto library calls an algorithm.
enum Backend {
    Rsa(&'static RsaParameters),
    Other(&'static dyn VerificationAlgorithm),
}

fn backend(algorithm: Algorithm) -> (Backend, jsonwebtoken::Algorithm) {
    use jsonwebtoken::Algorithm as Jwt;
    match algorithm {
        Algorithm::RS256 => (Backend::Rsa(&RSA_PKCS1_2048_8192_SHA256), Jwt::RS256),
        Algorithm::RS384 => (Backend::Rsa(&RSA_PKCS1_2048_8192_SHA384), Jwt::RS384),
        Algorithm::RS512 => (Backend::Rsa(&RSA_PKCS1_2048_8192_SHA512), Jwt::RS512),
        Algorithm::PS256 => (Backend::Rsa(&RSA_PSS_2048_8192_SHA256), Jwt::PS256),
        Algorithm::PS384 => (Backend::Rsa(&RSA_PSS_2048_8192_SHA384), Jwt::PS384),
        Algorithm::PS512 => (Backend::Rsa(&RSA_PSS_2048_8192_SHA512), Jwt::PS512),
        Algorithm::ES256 => (Backend::Other(&ECDSA_P256_SHA256_FIXED), Jwt::ES256),
        Algorithm::ES384 => (Backend::Other(&ECDSA_P384_SHA384_FIXED), Jwt::ES384),
        Algorithm::EdDSA => (Backend::Other(&ED25519), Jwt::EdDSA),
    }
}

impl KeyVerifier {
    /// Reads a key for one of its algorithms.
    pub(super) fn new(numbers: &Numbers, algorithm: Algorithm) -> Result<Self, Unusable> {
        let key = match (numbers, backend(algorithm).0) {
            (Numbers::Rsa { n, e }, Backend::Rsa(parameters)) => {
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).map_err(|_| Unusable::Refused)?
            }
            (Numbers::Point(point), Backend::Other(other)) => {
                ParsedPublicKey::new(other, point).map_err(|_| Unusable::NotOnCurve)?
            }
            _ => return Err(Unusable::Mismatch(algorithm.name())),
        };
        Ok(Self { algorithm, key })
    }

    /// Its algorithm.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for KeyVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        self.key.verify_sig(message, signature).map_err(Error::from_source)
    }
}

impl JwtVerifier for KeyVerifier {
    fn algorithm(&self) -> jsonwebtoken::Algorithm {
        backend(self.algorithm).1
    }
}
