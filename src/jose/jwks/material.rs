//! Reads and checks the numbers of a public key: RFC 7518 section 6, RFC 8037 section 2.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::jwk::Jwk;
use super::unusable::{Unusable, quoted};
use crate::domain::issuer::Algorithm;

/// RFC 7518 section 3.3 requires 2048 bits; the crypto library verifies up to 8192.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The crypto library's limit on a public exponent.
const EXPONENT_BITS: usize = 33;

/// The key material.
pub(super) struct Material {
    /// Every algorithm that this kind of key can verify.
    pub(super) algorithms: &'static [Algorithm],
    /// The form that RFC 7638 hashes.
    pub(super) canonical: String,
    /// What it consists of.
    pub(super) numbers: Numbers,
}

/// The numbers of a public key.
pub(super) enum Numbers {
    /// Modulus and exponent.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The exponent.
        e: Vec<u8>,
    },
    /// A point of a curve, in the form that its algorithm takes.
    Point(Vec<u8>),
}

/// Reads the key by its `kty`.
pub(super) fn read(jwk: &Jwk<'_>) -> Result<Material, Unusable> {
    match jwk.required("kty")? {
        "oct" => Err(Unusable::Symmetric),
        _ if jwk.has("d") => Err(Unusable::Private),
        "RSA" => rsa(jwk),
        "EC" => ec(jwk),
        "OKP" => okp(jwk),
        other => Err(Unusable::Type(quoted(other))),
    }
}

/// The bytes of a member. RFC 7515 section 2 allows one encoding, and a lenient reader could see another key than others
/// do. So any other encoding is an error, which names what it looks like.
fn bytes(jwk: &Jwk<'_>, name: &'static str) -> Result<Vec<u8>, Unusable> {
    let text = jwk.required(name)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| match text {
        padded if padded.ends_with('=') => Unusable::Padded(name),
        standard if standard.contains(['+', '/']) => Unusable::StandardBase64(name),
        _ => Unusable::Encoding(name),
    })
}

/// A coordinate, which has the length of its curve's field.
fn coordinate(jwk: &Jwk<'_>, member: &'static str, (crv, size): (&'static str, usize)) -> Result<Vec<u8>, Unusable> {
    let found = bytes(jwk, member)?;
    if found.len() != size {
        return Err(Unusable::Length { member, bytes: found.len(), crv, size });
    }
    Ok(found)
}

/// A number, without the leading zero octets that some providers send.
fn number(jwk: &Jwk<'_>, name: &'static str) -> Result<Vec<u8>, Unusable> {
    let bytes = bytes(jwk, name)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(bytes.get(zeros..).unwrap_or_default().to_vec())
}

fn bits(number: &[u8]) -> usize {
    let unused = number.first().map_or(0, |first| first.leading_zeros() as usize);
    number.len().saturating_mul(8).saturating_sub(unused)
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last & 1 == 1)
}

fn rsa(jwk: &Jwk<'_>) -> Result<Material, Unusable> {
    const ALGORITHMS: &[Algorithm] =
        &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
    let n = number(jwk, "n")?;
    let e = number(jwk, "e")?;
    if !RSA_BITS.contains(&bits(&n)) {
        return Err(Unusable::ModulusBits(bits(&n)));
    }
    if !is_odd(&n) {
        return Err(Unusable::EvenModulus);
    }
    if is_roca(&n) {
        return Err(Unusable::Roca);
    }
    if !is_odd(&e) || e == [1] || bits(&e) > EXPONENT_BITS {
        return Err(Unusable::WeakExponent);
    }
    let canonical =
        format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, URL_SAFE_NO_PAD.encode(&e), URL_SAFE_NO_PAD.encode(&n));
    Ok(Material { algorithms: ALGORITHMS, canonical, numbers: Numbers::Rsa { n, e } })
}

/// The fingerprint of CVE-2017-15361: modulo each small prime, the modulus is a power of 65537. For a sound
/// modulus, with the primes up to 167, the chance of that is below 2^-27.
fn is_roca(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107,
        109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.into_iter().all(|prime| {
        let rest = modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * (65_537 % prime) % prime));
        powers.take(prime as usize).any(|power| power == rest)
    })
}

fn ec(jwk: &Jwk<'_>) -> Result<Material, Unusable> {
    let (crv, size, algorithms): (_, _, &'static [Algorithm]) = match jwk.required("crv")? {
        "P-256" => ("P-256", 32, &[Algorithm::ES256]),
        "P-384" => ("P-384", 48, &[Algorithm::ES384]),
        other => return Err(Unusable::Curve(quoted(other))),
    };
    let (x, y) = (coordinate(jwk, "x", (crv, size))?, coordinate(jwk, "y", (crv, size))?);
    let canonical = format!(
        r#"{{"crv":"{crv}","kty":"EC","x":"{}","y":"{}"}}"#,
        URL_SAFE_NO_PAD.encode(&x),
        URL_SAFE_NO_PAD.encode(&y)
    );
    // Uncompressed form, SEC 1 section 2.3.3.
    let point: Vec<u8> = std::iter::once(4).chain(x).chain(y).collect();
    Ok(Material { algorithms, canonical, numbers: Numbers::Point(point) })
}

fn okp(jwk: &Jwk<'_>) -> Result<Material, Unusable> {
    const ED25519: &str = "Ed25519";
    let crv = jwk.required("crv")?;
    if crv != ED25519 {
        return Err(Unusable::Curve(quoted(crv)));
    }
    let x = coordinate(jwk, "x", (ED25519, 32))?;
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(&x));
    Ok(Material { algorithms: &[Algorithm::EdDSA], canonical, numbers: Numbers::Point(x) })
}
