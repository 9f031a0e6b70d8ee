//! The rules of token issuers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::claim::ClaimName;

/// Where the keys of an issuer come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// `{iss}/.well-known/openid-configuration` names their address.
    Discovery,
    /// A JWKS at this address.
    Uri(String),
    /// A JWKS in this file.
    File(PathBuf),
}

/// Signature algorithms, all asymmetric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "RFC 7518 section 3.1 and RFC 8037 name them")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// The name in `alg`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithm with exactly this name; case matters (RFC 7515 section 4.1.1). `Ed25519` (RFC 9864 section 2.2) is
    /// `EdDSA` on that curve, the only one supported here.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDSA);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// A `typ` that an access token may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenType {
    /// `at+jwt` or `application/at+jwt` (RFC 9068 section 2.1).
    AtJwt,
    /// `JWT`.
    Jwt,
    /// No `typ` at all.
    Absent,
}

/// The rule for which tokens are a client's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineRule {
    /// The client is its own subject.
    ClientIsSubject,
    /// The user name has this prefix.
    UsernamePrefix(String),
    /// A claim has this value.
    Claim {
        /// Its name.
        claim: ClaimName,
        /// The exact value.
        equals: String,
    },
}

/// The claims that name a client by default; the first one present counts (OpenID Connect Core section 2, RFC 9068
/// section 2.2, Okta, Entra). For denials all of them count, whatever is configured.
pub const CLIENT_CLAIMS: [&str; 4] = ["azp", "client_id", "cid", "appid"];
/// The claims that name a token, likewise: RFC 7519 section 4.1.7, Entra.
pub const TOKEN_CLAIMS: [&str; 2] = ["jti", "uti"];

/// The names of claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// Groups: a list of strings, one string, or an object with the groups as keys.
    pub groups: ClaimName,
    /// E-mail.
    pub email: ClaimName,
    /// User name.
    pub username: ClaimName,
    /// Session.
    pub session: ClaimName,
    /// Client, for what is granted and shown; `None` for the first of [`CLIENT_CLAIMS`].
    pub client: Option<ClaimName>,
    /// Token id, for what is shown; `None` for the first of [`TOKEN_CLAIMS`].
    pub token: Option<ClaimName>,
    /// Audience, instead of `aud`; an `aud` that is present must match too.
    pub audience: Option<ClaimName>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            groups: "groups".into(),
            email: "email".into(),
            username: "preferred_username".into(),
            session: "sid".into(),
            client: None,
            token: None,
            audience: None,
        }
    }
}

/// The rules of one issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerRules {
    /// Its name in the configuration.
    pub name: String,
    /// The exact value of `iss`.
    pub issuer: Arc<str>,
    /// A token must be for one of them; `None` if `any` is configured.
    pub audiences: Option<Arc<[String]>>,
    /// The source of its keys.
    pub keys: KeySource,
    /// A PEM file of authorities that are trusted, besides the system's, when its keys are fetched.
    pub ca_file: Option<PathBuf>,
    /// The algorithms that it may use, of those that its keys allow.
    pub algorithms: Vec<Algorithm>,
    /// The `typ` values that its access tokens may have.
    pub token_types: Vec<TokenType>,
    /// Whether tokens that look like ID tokens are accepted, for providers whose access tokens do.
    pub accepts_id_tokens: bool,
    /// The clock difference that is tolerated.
    pub leeway: Duration,
    /// The names of claims.
    pub claims: ClaimNames,
    /// The rule for which tokens are a client's own.
    pub machines: MachineRule,
}
