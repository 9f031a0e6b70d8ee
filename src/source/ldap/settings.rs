//! What is configured of a directory.

use std::collections::BTreeSet;

use super::link::Server;

/// Whose rules the entries go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// OpenLDAP, and servers that are like it.
    OpenLdap,
    /// Active Directory.
    Ad,
}

/// How changes are heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// RFC 4533: the server tells.
    Syncrepl,
    /// Active Directory is asked what changed.
    DirSync,
    /// Whatever has a newer `modifyTimestamp`, or `uSNChanged`.
    Poll,
}

/// What is configured of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the source.
    pub name: String,
    /// Where, and as whom.
    pub server: Server,
    /// Below it are people and groups.
    pub base_dn: String,
    /// Below it are people.
    pub people_dn: String,
    /// Which entries there are people, where it is not by their class.
    pub people_filter: Option<String>,
    /// Whose rules.
    pub flavor: Flavor,
    /// How changes are heard of.
    pub sync: Sync,
    /// Attributes that `link` names beside id, e-mail and user name.
    pub attributes: BTreeSet<String>,
}
