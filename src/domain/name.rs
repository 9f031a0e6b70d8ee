//! How names are compared: each attribute by the rule of the directory that it comes from (contract section 3).
//!
//! Two systems may write one name differently: the directory has `JSmith`, the token `jsmith`. A denial holds for both,
//! because the directory treats them as the same name. So does a grant, except where folding turned another character
//! into an ASCII letter: nobody who may choose their own name may become somebody else with a Kelvin sign.

pub mod distance;
pub mod dn;
mod fold;
mod prepare;

use serde::{Deserialize, Serialize};

use super::person::UNVERIFIED_EMAIL;

pub use fold::Folded;

/// The kinds of directories, each with its own way to compare names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Directory {
    /// A file of people.
    File,
    /// A realm of a Keycloak.
    Keycloak,
    /// An Okta organization.
    Okta,
    /// A tenant of Microsoft Entra ID.
    Entra,
    /// An LDAP directory.
    Ldap,
}

/// A rule for the equality of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compare {
    /// Byte by byte.
    Exact,
    /// Ignoring case: NFC and Unicode lower case, independent of locale.
    IgnoreCase,
    /// `caseIgnoreMatch` of LDAP (RFC 4517 section 4.2.11), on values prepared by RFC 4518. Values that cannot be
    /// prepared are compared exactly.
    Prepared,
    /// `distinguishedNameMatch` of LDAP (RFC 4517 section 4.2.15).
    DistinguishedName,
}

/// What a match by a rule is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// For denials only: in one of the values, folding turned another character into an ASCII letter.
    Denies,
    /// For denials and grants.
    Grants,
}

/// LDAP attributes that are compared by `caseIgnoreMatch` or `caseIgnoreIA5Match`, under each of their names (RFC 4519,
/// RFC 4524), in lower case.
const PREPARED: [&str; 11] = [
    "uid",
    "userid",
    "mail",
    "rfc822mailbox",
    "cn",
    "commonname",
    "samaccountname",
    "userprincipalname",
    // The fields that every person has, whatever their attributes are called.
    "username",
    "email",
    "name",
];

/// LDAP attributes whose value is the name of an entry, in lower case.
const NAMES_OF_ENTRIES: [&str; 10] = [
    "dn",
    "distinguishedname",
    "entrydn",
    "manager",
    "secretary",
    "seealso",
    "owner",
    "member",
    "memberof",
    "assistant",
];

impl Directory {
    /// The rule of an attribute that `link` may name.
    #[must_use]
    pub fn compares(self, attribute: &str) -> Compare {
        match (self, attribute) {
            (_, "id") => Compare::Exact,
            (Self::Ldap, other) => {
                let name = other.to_ascii_lowercase();
                match name.as_str() {
                    name if PREPARED.contains(&name) => Compare::Prepared,
                    name if NAMES_OF_ENTRIES.contains(&name) => Compare::DistinguishedName,
                    _ => Compare::IgnoreCase,
                }
            }
            (_, "email" | "username") => Compare::IgnoreCase,
            (Self::Keycloak, UNVERIFIED_EMAIL)
            | (Self::Okta, "login" | "secondEmail")
            | (
                Self::Entra,
                "userPrincipalName"
                | "mail"
                | "otherMails"
                | "mailNickname"
                | "onPremisesUserPrincipalName"
                | "onPremisesSamAccountName"
                | "proxyAddresses",
            ) => Compare::IgnoreCase,
            _ => Compare::Exact,
        }
    }

    /// The rule for the name of a group. In LDAP it is the rule of `cn`, or that for distinguished names if it is one.
    #[must_use]
    pub fn compares_group(self, group: &str) -> Compare {
        match self {
            Self::Ldap if group.contains('=') => Compare::DistinguishedName,
            Self::Ldap => Compare::Prepared,
            Self::File | Self::Keycloak | Self::Okta | Self::Entra => Compare::Exact,
        }
    }

    /// Whether two names mean the same group.
    #[must_use]
    pub fn is_same_group(self, one: &str, other: &str) -> bool {
        one == other || self.compares_group(one).matches(one, other).is_some()
    }
}

impl Compare {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Exact, Self::IgnoreCase, Self::Prepared, Self::DistinguishedName];

    /// The spelling that all values equal by this rule share.
    #[must_use]
    pub fn fold(self, value: &str) -> Folded<'_> {
        match self {
            Self::Exact => Folded::exact(value),
            Self::IgnoreCase => Folded::by(value, fold::lower_case),
            Self::Prepared => Folded::by(value, |value| prepare::prepared(value).unwrap_or_else(|| value.to_owned())),
            Self::DistinguishedName => Folded::of(value, &dn::plain(value), dn::normal),
        }
    }

    /// How two values match; `None` if they do not.
    #[must_use]
    pub fn matches(self, one: &str, other: &str) -> Option<Match> {
        if one == other {
            return Some(Match::Grants);
        }
        if self == Self::Exact {
            return None;
        }
        let (one, other) = (self.fold(one), self.fold(other));
        (one.text == other.text).then(|| if one.strict() == other.strict() { Match::Grants } else { Match::Denies })
    }
}

#[cfg(test)]
mod tests;
