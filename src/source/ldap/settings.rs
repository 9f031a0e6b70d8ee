//! The configuration of a directory.

use std::collections::BTreeSet;

use super::link::Server;

/// Which server's rules apply to entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// OpenLDAP and similar servers.
    OpenLdap,
    /// Active Directory.
    Ad,
}

/// How changes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// RFC 4533: the server reports them.
    Syncrepl,
    /// Active Directory is asked for changes.
    DirSync,
    /// Entries with a newer `modifyTimestamp` or `uSNChanged` are read.
    Poll,
}

/// The configuration of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the source.
    pub name: String,
    /// The server, and our account there.
    pub server: Server,
    /// The base of people and groups.
    pub base_dn: String,
    /// The base of people.
    pub people_dn: String,
    /// Which entries there are people, if their class does not decide it.
    pub people_filter: Option<String>,
    /// The rules for entries.
    pub flavor: Flavor,
    /// How changes are read.
    pub sync: Sync,
    /// Attributes that `link` uses, other than id, e-mail and user name.
    pub attributes: BTreeSet<String>,
}
