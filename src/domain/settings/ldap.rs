//! An LDAP directory as a source of people.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

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

/// The server, and our account there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `ldap://` or `ldaps://`.
    pub url: String,
    /// Starts TLS on `ldap://` before anything else.
    pub start_tls: bool,
    /// The certificate authorities to trust instead of the system's. (Other kinds of sources trust theirs in addition.)
    pub ca_file: Option<PathBuf>,
    /// Our account.
    pub bind_dn: String,
    /// The file with its password.
    pub bind_password_file: PathBuf,
    /// The timeout of one answer.
    pub timeout: Duration,
}
