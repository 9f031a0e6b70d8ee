//! The closed list of reasons, in order of precedence.

use serde::Serialize;

/// Every reason that a check can end with. **The order is the precedence** (contract section 4): every
/// credential is checked, and the first reason that applies to any of them is the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the codes are the contract's, which says what each means")]
// INVARIANT: the discriminants follow the order, and `Ord` compares by it.
#[repr(u8)]
pub enum Reason {
    MalformedRequest,
    RevokedPerson,
    RevokedSubject,
    RevokedClient,
    RevokedIssuer,
    RevokedKey,
    RevokedCertificate,
    RevokedSession,
    RevokedToken,
    IssuedBeforeCutoff,
    MalformedCredentials,
    UnknownIssuer,
    UnknownSigningKey,
    BadSignature,
    BadClaims,
    WrongAudience,
    Expired,
    NotYetValid,
    InactiveToken,
    UnknownApiKey,
    BadPassword,
    NotReady,
    SchemeUnavailable,
    StaleSource,
    Internal,
    UnknownPerson,
    MixedIdentities,
    NoCredentials,
    AmbiguousPath,
    NoPermission,
    Allowed,
    Public,
    Preflight,
    PassedWithoutCredentials,
    PassedForeignCredentials,
    Exempted,
}

impl Reason {
    /// All of them, strictest first.
    pub const ALL: [Self; 36] = [
        Self::MalformedRequest,
        Self::RevokedPerson,
        Self::RevokedSubject,
        Self::RevokedClient,
        Self::RevokedIssuer,
        Self::RevokedKey,
        Self::RevokedCertificate,
        Self::RevokedSession,
        Self::RevokedToken,
        Self::IssuedBeforeCutoff,
        Self::MalformedCredentials,
        Self::UnknownIssuer,
        Self::UnknownSigningKey,
        Self::BadSignature,
        Self::BadClaims,
        Self::WrongAudience,
        Self::Expired,
        Self::NotYetValid,
        Self::InactiveToken,
        Self::UnknownApiKey,
        Self::BadPassword,
        Self::NotReady,
        Self::SchemeUnavailable,
        Self::StaleSource,
        Self::Internal,
        Self::UnknownPerson,
        Self::MixedIdentities,
        Self::NoCredentials,
        Self::AmbiguousPath,
        Self::NoPermission,
        Self::Allowed,
        Self::Public,
        Self::Preflight,
        Self::PassedWithoutCredentials,
        Self::PassedForeignCredentials,
        Self::Exempted,
    ];

    /// The code in metrics, audit records and `explain`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::RevokedPerson => "revoked_person",
            Self::RevokedSubject => "revoked_subject",
            Self::RevokedClient => "revoked_client",
            Self::RevokedIssuer => "revoked_issuer",
            Self::RevokedKey => "revoked_key",
            Self::RevokedCertificate => "revoked_certificate",
            Self::RevokedSession => "revoked_session",
            Self::RevokedToken => "revoked_token",
            Self::IssuedBeforeCutoff => "issued_before_cutoff",
            Self::MalformedCredentials => "malformed_credentials",
            Self::UnknownIssuer => "unknown_issuer",
            Self::UnknownSigningKey => "unknown_signing_key",
            Self::BadSignature => "bad_signature",
            Self::BadClaims => "bad_claims",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::InactiveToken => "inactive_token",
            Self::UnknownApiKey => "unknown_api_key",
            Self::BadPassword => "bad_password",
            Self::NotReady => "not_ready",
            Self::SchemeUnavailable => "scheme_unavailable",
            Self::StaleSource => "stale_source",
            Self::Internal => "internal",
            Self::UnknownPerson => "unknown_person",
            Self::MixedIdentities => "mixed_identities",
            Self::NoCredentials => "no_credentials",
            Self::AmbiguousPath => "ambiguous_path",
            Self::NoPermission => "no_permission",
            Self::Allowed => "allowed",
            Self::Public => "public",
            Self::Preflight => "preflight",
            Self::PassedWithoutCredentials => "passed_without_credentials",
            Self::PassedForeignCredentials => "passed_foreign_credentials",
            Self::Exempted => "exempted",
        }
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::MalformedRequest | Self::AmbiguousPath => 400,
            Self::RevokedPerson
            | Self::RevokedSubject
            | Self::RevokedClient
            | Self::RevokedIssuer
            | Self::RevokedKey
            | Self::RevokedCertificate
            | Self::UnknownPerson
            | Self::MixedIdentities
            | Self::NoPermission => 403,
            Self::RevokedSession
            | Self::RevokedToken
            | Self::IssuedBeforeCutoff
            | Self::MalformedCredentials
            | Self::UnknownIssuer
            | Self::UnknownSigningKey
            | Self::BadSignature
            | Self::BadClaims
            | Self::WrongAudience
            | Self::Expired
            | Self::NotYetValid
            | Self::InactiveToken
            | Self::UnknownApiKey
            | Self::BadPassword
            | Self::NoCredentials => 401,
            Self::NotReady | Self::SchemeUnavailable | Self::StaleSource | Self::Internal => 503,
            Self::Allowed
            | Self::Public
            | Self::Preflight
            | Self::PassedWithoutCredentials
            | Self::PassedForeignCredentials
            | Self::Exempted => 200,
        }
    }

    /// Whether a revocation or a cut-off is the reason.
    #[must_use]
    pub fn is_revocation(self) -> bool {
        (Self::RevokedPerson..=Self::IssuedBeforeCutoff).contains(&self)
    }

    /// Whether the request is let through.
    #[must_use]
    pub fn allows(self) -> bool {
        self >= Self::Allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_complete_and_in_order() {
        for (rank, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, rank, "{}", reason.code());
        }
        assert_eq!(Reason::ALL.len(), Reason::Exempted as usize + 1);
    }

    #[test]
    fn revocations_and_cut_offs_are_told_from_the_rest() {
        for reason in Reason::ALL {
            let code = reason.code();
            let revoked = code.starts_with("revoked_") || code == "issued_before_cutoff";
            assert_eq!(reason.is_revocation(), revoked, "{code}");
        }
    }

    #[test]
    fn only_200_allows() {
        for reason in Reason::ALL {
            assert_eq!(reason.allows(), reason.status() == 200, "{}", reason.code());
        }
    }
}
