//! Which proxy leads to an address: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, or the same in lower case.
//!
//! There is no standard for these. As in curl and Go, `HTTPS_PROXY` is for `https://`, `HTTP_PROXY` for `http://`;
//! `NO_PROXY` lists names (with all their subdomains), addresses and networks such as `10.0.0.0/8`, each optionally with
//! a port, or is `*`. Loopback is never reached through a proxy. Names are not resolved for this.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr as _;
use std::sync::Arc;

use reqwest::Url;

/// The proxies in the environment.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    https: Option<Named>,
    http: Option<Named>,
    exempt: Vec<Exempt>,
}

/// A variable and its value.
#[derive(Clone, Debug)]
struct Named {
    variable: &'static str,
    /// `None` if the value is not the address of a proxy.
    proxy: Option<Arc<Proxy>>,
}

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    variable: &'static str,
    /// With user and password.
    url: Url,
}

impl Proxy {
    /// Its full address. It may contain a password: never show it.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Without user and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.url.host_str().unwrap_or_default())?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        write!(f, " (`{}`)", self.variable)
    }
}

/// The way to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Directly: no proxy is configured for it.
    Direct,
    /// Directly, because of `NO_PROXY`.
    Exempt,
    /// Directly, because it is this machine.
    Loopback,
    /// Through a proxy.
    Proxy(Arc<Proxy>),
}

/// As the end of a sentence about an address that does not answer.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => {
                f.write_str("; asked directly: no proxy is configured for it (`HTTPS_PROXY`, `HTTP_PROXY`)")
            }
            Self::Exempt => f.write_str("; asked directly, as `NO_PROXY` says"),
            Self::Loopback => f.write_str("; asked directly: it is this machine"),
            Self::Proxy(proxy) => write!(f, "; asked through the proxy {proxy}"),
        }
    }
}

/// The value of a variable is not the address of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the http:// or https:// address of a proxy: correct it or unset it")]
pub struct NoProxyThere(pub &'static str);

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exempt {
    host: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// A name and all its subdomains, in lower case and without a dot at either end.
    Name(String),
    /// Addresses with these first bits.
    Network(IpAddr, u32),
}

impl Proxies {
    /// The proxies in the environment of this process.
    #[must_use]
    pub fn of_environment() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads the variables. An empty one counts as unset; the upper-case name takes precedence.
    #[must_use]
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| {
                let value = variable(name)?.trim().to_owned();
                (!value.is_empty()).then_some((name, value))
            })
        };
        let named = |names| value(names).map(|(variable, value)| Named { variable, proxy: proxy(variable, &value) });
        let exempt = value(["NO_PROXY", "no_proxy"]).map(|(_, value)| value).unwrap_or_default();
        let entries = exempt.split(|char: char| char == ',' || char.is_whitespace());
        Self {
            https: named(["HTTPS_PROXY", "https_proxy"]),
            http: named(["HTTP_PROXY", "http_proxy"]),
            exempt: entries.filter_map(Exempt::read).collect(),
        }
    }

    /// The way to this address.
    ///
    /// # Errors
    /// [`NoProxyThere`] if a proxy applies and its variable is unusable.
    pub fn way(&self, url: &Url) -> Result<Way, NoProxyThere> {
        let host = Host::of(url);
        if host.is_loopback() {
            return Ok(Way::Loopback);
        }
        let named = if url.scheme() == "https" { &self.https } else { &self.http };
        let Some(named) = named else { return Ok(Way::Direct) };
        if self.exempt.iter().any(|entry| entry.holds(&host, url.port_or_known_default())) {
            return Ok(Way::Exempt);
        }
        named.proxy.clone().map(Way::Proxy).ok_or(NoProxyThere(named.variable))
    }
}

/// `http://user:password@proxy:3128`; the scheme may be omitted.
fn proxy(variable: &'static str, value: &str) -> Option<Arc<Proxy>> {
    let whole = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let url = Url::parse(&whole).ok()?;
    let usable = matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty());
    usable.then(|| Arc::new(Proxy { variable, url }))
}

/// The host in an address.
enum Host {
    Name(String),
    Address(IpAddr),
}

impl Host {
    fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        match IpAddr::from_str(host) {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) => Self::Name(plain(host)),
        }
    }

    /// RFC 6761 section 6.3 for names; `0.0.0.0` and `::` also reach this machine.
    fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Address(address) => address.is_loopback() || address.is_unspecified(),
        }
    }
}

fn plain(name: &str) -> String {
    name.trim_matches('.').to_ascii_lowercase()
}

impl Exempt {
    fn read(entry: &str) -> Option<Self> {
        if entry.is_empty() {
            return None;
        }
        if let Some(host) = network(entry) {
            return Some(Self { host, port: None });
        }
        let (host, port) = match entry.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
            Some((host, Ok(port))) => (host, Some(port)),
            _ => (entry, None),
        };
        let name = plain(host.strip_prefix("*.").unwrap_or(host));
        let host = match network(host) {
            Some(network) => network,
            None if host == "*" => Hosts::All,
            None if name.is_empty() => return None,
            None => Hosts::Name(name),
        };
        Some(Self { host, port })
    }

    fn holds(&self, host: &Host, port: Option<u16>) -> bool {
        if self.port.is_some() && self.port != port {
            return false;
        }
        match (&self.host, host) {
            (Hosts::All, _) => true,
            (Hosts::Name(above), Host::Name(name)) => {
                let rest = name.strip_suffix(above.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Hosts::Network(network, bits), Host::Address(address)) => first_bits_agree(*network, *address, *bits),
            (Hosts::Name(_), Host::Address(_)) | (Hosts::Network(..), Host::Name(_)) => false,
        }
    }
}

/// An address, or a network in CIDR notation (RFC 4632 section 3.1).
fn network(text: &str) -> Option<Hosts> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let address = IpAddr::from_str(address.trim_matches(['[', ']'])).ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some(Hosts::Network(address, bits))
}

fn first_bits_agree(network: IpAddr, address: IpAddr, bits: u32) -> bool {
    let differ = match (network, address) {
        // Both are aligned to the upper end of 128 bits.
        (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()) << 96,
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
        _ => return false,
    };
    differ.leading_zeros() >= bits
}

#[cfg(test)]
mod tests;
