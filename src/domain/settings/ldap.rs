//! An LDAP directory as a source of people.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

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

/// Where the server is, and as whom it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `ldap://` or `ldaps://`.
    pub url: String,
    /// TLS before anything else on `ldap://`.
    pub start_tls: bool,
    /// The authorities that are trusted, in place of the system's: elsewhere they are trusted beside them.
    pub ca_file: Option<PathBuf>,
    /// As whom.
    pub bind_dn: String,
    /// File with the password.
    pub bind_password_file: PathBuf,
    /// For one answer.
    pub timeout: Duration,
}
