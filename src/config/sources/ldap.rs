//! `kind: ldap`

use std::net::IpAddr;
use std::time::Duration;

use super::kind::{Common, Kind, SourceKind};
use crate::config::fields::Fields;
use crate::config::problem::quoted;
use crate::domain::name::Directory;
use crate::domain::settings::ldap::{Flavor, Server, Settings, Sync};

pub(super) const LDAP: Kind = Kind {
    name: "ldap",
    directory: Directory::Ldap,
    needs: &["url", "base_dn", "bind_dn", "bind_password_file"],
    may: &["ca_file", "start_tls", "people_dn", "people_filter", "flavor", "sync"],
    poll: Duration::from_secs(5),
    link: &[("preferred_username", "uid")],
    any_attribute: true,
    read,
};

fn read(fields: &Fields<'_>, common: &Common) -> Option<SourceKind> {
    let url = fields.owned("url")?;
    let start_tls = fields.flag("start_tls").unwrap_or(false);
    let flavor = if fields.text("flavor") == Some("ad") { Flavor::Ad } else { Flavor::OpenLdap };
    check_url(fields, &url, start_tls);
    let sync = match (fields.text("sync"), flavor) {
        (Some("poll"), _) => Sync::Poll,
        (Some("dirsync"), Flavor::OpenLdap) => {
            fields.wrong("sync", "dirsync requires `flavor: ad`");
            return None;
        }
        (Some("syncrepl"), Flavor::Ad) => {
            fields.wrong("sync", "syncrepl does not work with `flavor: ad`");
            return None;
        }
        (_, Flavor::Ad) => Sync::DirSync,
        (_, Flavor::OpenLdap) => Sync::Syncrepl,
    };
    let base_dn = fields.owned("base_dn")?;
    let people_dn = fields.owned("people_dn").unwrap_or_else(|| base_dn.clone());
    let spelt = |dn: &str| format!(",{}", dn.to_lowercase().replace(' ', ""));
    if !spelt(&people_dn).ends_with(&spelt(&base_dn)) {
        fields.wrong("people_dn", format!("is not below `base_dn` {}", quoted(&base_dn)));
    }
    let people_filter = fields.owned("people_filter");
    // It becomes part of other filters, so it must have its own parentheses.
    let fits = |filter: &String| filter.starts_with('(') && ldap3::parse_filter(filter).is_ok();
    if people_filter.as_ref().is_some_and(|filter| !fits(filter)) {
        fields.wrong("people_filter", "is not a filter such as (objectClass=person)");
    }
    let Common { name, attributes, timeout, ca_file, .. } = common.clone();
    let server = Server {
        url,
        start_tls,
        ca_file,
        bind_dn: fields.owned("bind_dn")?,
        bind_password_file: fields.text("bind_password_file")?.into(),
        timeout,
    };
    Some(SourceKind::Ldap(Settings { name, server, base_dn, people_dn, people_filter, flavor, sync, attributes }))
}

fn check_url(fields: &Fields<'_>, url: &str, start_tls: bool) {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| ["ldap", "ldaps"].contains(scheme)) else {
        return fields.wrong("url", "must be ldap:// or ldaps:// (`kind: ldap`)");
    };
    if rest.trim_end_matches('/').contains('/') {
        fields.wrong("url", "must name only a host; the search base is `base_dn`");
    }
    match (scheme, start_tls) {
        ("ldaps", true) => fields.wrong("start_tls", "applies to ldap:// only; ldaps:// already uses TLS"),
        ("ldap", false) if !is_loopback(rest) => fields.warn(
            "url",
            "is ldap:// without `start_tls: true`; anyone on the network path can read the password and decide who works here",
        ),
        _ => {}
    }
}

fn is_loopback(rest: &str) -> bool {
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, port)| if port.ends_with(']') { rest } else { host });
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
