//! The configuration of a source, as far as decisions and the writer need it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::name::Directory;

/// What to answer while a source is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WhenStale {
    /// Continue with what is known.
    Allow,
    /// Deny with `stale_source`.
    Deny,
}

/// The kinds of source problems that metrics count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceErrorKind {
    /// The configuration does not match the provider, or a file that it names cannot be read.
    Configuration,
    /// No connection, no answer in time, or a broken one.
    Unreachable,
    /// The provider denies us access.
    Forbidden,
    /// Too many requests.
    RateLimited,
    /// The provider answers with an error, or that something does not exist.
    ProviderError,
    /// An invalid answer.
    Malformed,
    /// A listing is held back.
    Guarded,
    /// The writer refused an observation.
    Refused,
    /// The task that reads it failed and was restarted.
    Internal,
    /// The provider's clock is ahead of ours.
    Clock,
    /// More people were disabled within an hour than `max_change` lets a listing leave out.
    MassDisable,
    /// A credential belongs to several of its people.
    MixedIdentities,
}

impl SourceErrorKind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Configuration,
        Self::Unreachable,
        Self::Forbidden,
        Self::RateLimited,
        Self::ProviderError,
        Self::Malformed,
        Self::Guarded,
        Self::Refused,
        Self::Internal,
        Self::Clock,
        Self::MassDisable,
        Self::MixedIdentities,
    ];

    /// The word used in metrics and logs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Unreachable => "unreachable",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate_limited",
            Self::ProviderError => "provider_error",
            Self::Malformed => "malformed",
            Self::Guarded => "guarded",
            Self::Refused => "refused",
            Self::Internal => "internal",
            Self::Clock => "clock",
            Self::MassDisable => "mass_disable",
            Self::MixedIdentities => "mixed_identities",
        }
    }
}

/// What a source supplies, which determines what a missing entry means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supplies {
    /// Its listings of people are complete.
    pub people: bool,
    /// Its groups are complete.
    pub groups: bool,
}

/// One `{ claim, attribute }` of `link`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Claim of the token.
    pub claim: String,
    /// Attribute of the person.
    pub attribute: String,
}

/// How the credentials of an issuer are matched with the people of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linking {
    /// `iss`
    pub issuer: String,
    /// The first whose claim is present decides.
    pub link: Vec<Link>,
    /// The directory whose rules compare its names; absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Directory>,
}

/// A source that was removed from the configuration. Its blocks remain in force and are matched by its last links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// Its name.
    pub name: String,
    /// Its last links.
    pub linking: Linking,
}

/// The rules of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRules {
    /// Its name.
    pub name: String,
    /// Index of its issuer in the policy.
    pub issuer: u16,
    /// The directory whose rules compare its names.
    pub directory: Directory,
    /// What it supplies.
    pub supplies: Supplies,
    /// Requests of its issuer are denied until it has completed a full sync.
    pub required: bool,
    /// The age at which it becomes stale.
    pub max_staleness: Duration,
    /// What happens then.
    pub when_stale: WhenStale,
    /// How credentials are matched with its people; the first whose claim is present decides.
    pub link: Vec<Link>,
    /// The limit of what a listing may leave out.
    pub max_change: MaxChange,
}

/// `max_change`: what a listing may leave out before it is held back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxChange {
    /// Share of the known people, 0 to 1.
    pub share: f64,
    /// Fewer than this many never hold a listing back.
    pub from: usize,
}

impl Eq for MaxChange {}

impl MaxChange {
    /// Whether `many` of `all` are too many: at least `from`, and more than the share.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "numbers of people fit into 53 bits")]
    pub fn is_passed(&self, missing: usize, known: usize) -> bool {
        missing >= self.from && missing as f64 > known as f64 * self.share
    }
}
