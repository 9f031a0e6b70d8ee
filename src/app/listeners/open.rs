//! Opens sockets: `[::]` means all addresses, IPv6 and IPv4 (contract section 3, "The network").

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Backlog, the same as tokio's.
const BACKLOG: i32 = 1024;

/// Listens. `[::]` includes IPv4 whatever the system's default (`net.ipv6.bindv6only`), and means `0.0.0.0` if there is no
/// IPv6.
///
/// # Errors
/// The system's error.
pub(super) fn open(name: &'static str, address: SocketAddr) -> io::Result<TcpListener> {
    open_by(name, address, socket)
}

fn open_by(
    name: &'static str,
    address: SocketAddr,
    socket: impl Fn(SocketAddr) -> io::Result<std::net::TcpListener>,
) -> io::Result<TcpListener> {
    let listener = socket(address).or_else(|error| {
        let Some(instead) = without_ipv6(address, &error) else { return Err(error) };
        tracing::warn!(
            listener.name = name,
            error.message = %error,
            "no IPv6 on this machine; `{name}` listens on {instead} instead of {address}"
        );
        socket(instead)
    });
    TcpListener::from_std(listener?)
}

fn socket(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if is_everywhere(address) {
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for connections of the previous process.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn is_everywhere(address: SocketAddr) -> bool {
    address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
}

/// Where to listen instead if `error` means that there is no IPv6: the kernel lacks it (`ipv6.disable=1`) or allows none of
/// its addresses.
fn without_ipv6(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let missing = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL, Errno::PROTONOSUPPORT].map(Errno::raw_os_error);
    let missing = error.raw_os_error().is_some_and(|code| missing.contains(&code));
    (missing && is_everywhere(address)).then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn error(errno: Errno) -> io::Error {
        io::Error::from_raw_os_error(errno.raw_os_error())
    }

    #[tokio::test]
    async fn without_ipv6_it_listens_by_ipv4() {
        let no_ipv6 = |address: SocketAddr| match address {
            SocketAddr::V6(_) => Err(error(Errno::AFNOSUPPORT)),
            SocketAddr::V4(_) => socket(address),
        };
        let listener = open_by("ops", at("[::]:0"), no_ipv6).unwrap();
        assert_eq!(listener.local_addr().unwrap().ip(), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        for named in ["[::1]:0", "[fd00::9]:0"] {
            let failed = open_by("ops", at(named), no_ipv6).unwrap_err();
            assert_eq!(failed.raw_os_error(), Some(Errno::AFNOSUPPORT.raw_os_error()), "{named} was asked for by name");
        }
    }

    #[test]
    fn only_missing_ipv6_is_a_reason() {
        let instead = |errno| without_ipv6(at("[::]:9193"), &error(errno));
        for errno in [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL] {
            assert_eq!(instead(errno), Some(at("0.0.0.0:9193")));
            assert_eq!(without_ipv6(at("127.0.0.1:9193"), &error(errno)), None);
        }
        for errno in [Errno::ADDRINUSE, Errno::ACCESS, Errno::MFILE] {
            assert_eq!(instead(errno), None, "{errno}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_an_error_and_one_that_was_left_is_not() {
        let first = open("ops", at("127.0.0.1:0")).unwrap();
        let address = first.local_addr().unwrap();
        assert_eq!(open("ops", address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        open("ops", address).unwrap();
    }
}
