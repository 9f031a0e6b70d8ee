//! What is configured about who signs tokens.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::claim::ClaimName;

/// Where an issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// `{iss}/.well-known/openid-configuration` names the place.
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

    /// The algorithm of this exact name; case counts (RFC 7515 section 4.1.1). `Ed25519` (RFC 9864 section 2.2) is
    /// `EdDSA` over that curve, the only one that is verified here.
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

/// Whose token is a client's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineRule {
    /// The client is its own subject.
    ClientIsSubject,
    /// The user name begins so.
    UsernamePrefix(String),
    /// A claim has this value.
    Claim {
        /// Its name.
        claim: ClaimName,
        /// The value, exactly.
        equals: String,
    },
}

/// What names a client where nothing is configured, the first that is there: OpenID Connect Core section 2, RFC 9068
/// section 2.2, Okta, Entra. For denial all of them count, whatever is configured.
pub const CLIENT_CLAIMS: [&str; 4] = ["azp", "client_id", "cid", "appid"];
/// What names a token, likewise: RFC 7519 section 4.1.7, Entra.
pub const TOKEN_CLAIMS: [&str; 2] = ["jti", "uti"];

/// Which claims hold what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// Groups: texts, one text, or an object whose keys they are.
    pub groups: ClaimName,
    /// E-mail.
    pub email: ClaimName,
    /// Login name.
    pub username: ClaimName,
    /// Session.
    pub session: ClaimName,
    /// Client, for what is granted and shown; `None`: the first of [`CLIENT_CLAIMS`].
    pub client: Option<ClaimName>,
    /// Token, for what is shown; `None`: the first of [`TOKEN_CLAIMS`].
    pub token: Option<ClaimName>,
    /// Whom it is for, in place of `aud`, which must fit too where it is there.
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
    /// What `iss` must equal, exactly.
    pub issuer: Arc<str>,
    /// A token must carry one of them; `None`: `any` was said.
    pub audiences: Option<Arc<[String]>>,
    /// Where its keys come from.
    pub keys: KeySource,
    /// PEM file: trusted beside the system's roots where its keys are fetched.
    pub ca_file: Option<PathBuf>,
    /// The algorithms that it may use; the key decides, this narrows.
    pub algorithms: Vec<Algorithm>,
    /// The types that its access tokens may have.
    pub token_types: Vec<TokenType>,
    /// Tokens that look like ID tokens are accepted, for providers whose access tokens do.
    pub accepts_id_tokens: bool,
    /// How far its clock may be off.
    pub leeway: Duration,
    /// Which claims hold what.
    pub claims: ClaimNames,
    /// Whose token is a client's own.
    pub machines: MachineRule,
}
