//! The address policy: which addresses may be called.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use ipnet::IpNet;

use crate::addresses::{is_lan, is_public, unwrap, wrapping_of};
use crate::url::{Host, Origin};

/// The setting that opens networks; a [`Refusal`] prints it with the value to set.
pub const ALLOW_NETWORKS: &str = "TILLSTREAM_ALLOW_NETWORKS";

/// The word that opens the private ranges.
const LAN: &str = "lan";

/// Which addresses may be called. Cheap to clone.
///
/// Without any opening these are the globally routable unicast addresses. An IPv6 address that carries an IPv4 address
/// (IPv4-mapped, IPv4-compatible, IPv4-translated, NAT64 `64:ff9b::/96`, 6to4) is judged by the **carried address
/// alone**, for refusals and for openings: `10.0.0.0/8` also opens `::ffff:10.1.2.3`, and nothing opens only the
/// wrapped spelling. Teredo is refused unless its range is listed.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    opened: Arc<[IpNet]>,
    lan: bool,
}

impl Policy {
    /// Builds a policy from entries as the operator wrote them.
    ///
    /// An entry is a CIDR (`10.20.0.0/16`, `fd12::/48`), a single address, or `lan`: the private ranges (RFC 1918 and
    /// ULA) without loopback, link-local, carrier-grade NAT and the metadata services of clouds. A CIDR opens exactly
    /// its addresses, metadata included. Blank entries are skipped.
    ///
    /// # Errors
    /// [`NetworksError`] names the first entry that is wrong and what to write instead.
    pub fn new<S: AsRef<str>>(entries: &[S]) -> Result<Self, NetworksError> {
        let written = || entries.iter().map(|entry| entry.as_ref().trim()).filter(|entry| !entry.is_empty());
        Ok(Self {
            lan: written().any(|entry| entry == LAN),
            opened: written().filter(|entry| *entry != LAN).map(network).collect::<Result<_, _>>()?,
        })
    }

    /// What is open besides public addresses, as entries that [`Policy::new`] reads.
    #[must_use]
    pub fn opened(&self) -> Vec<String> {
        let lan = self.lan.then(|| LAN.to_owned());
        lan.into_iter().chain(self.opened.iter().map(ToString::to_string)).collect()
    }

    /// Whether this address may be called.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = unwrap(address);
        is_public(address) || (self.lan && is_lan(address)) || self.opened.iter().any(|range| range.contains(&address))
    }

    /// Checks one address that `host` stands for; `host` only appears in the text of the refusal.
    ///
    /// # Errors
    /// [`Refusal`], which prints the setting that would open the address.
    pub fn check(&self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        if self.allows(address) {
            return Ok(());
        }
        Err(Refusal { host: host.to_owned(), address, others_are_open: self.lan || !self.opened.is_empty() })
    }

    /// Refuses early, when a URL is saved, one whose host is a literal address that may not be called, in any
    /// spelling (`127.1`, `0x7f000001`, `[::ffff:127.0.0.1]`).
    ///
    /// A name passes: what it stands for is only known, and checked, when the connection is made. A URL without a
    /// usable host passes too; [`check_url`](crate::check_url) refuses it.
    ///
    /// # Errors
    /// [`Refusal`], which prints the setting that would open the address.
    pub fn check_literal(&self, uri: &Uri) -> Result<(), Refusal> {
        match Origin::of(uri) {
            Ok(Origin { written, host: Host::Address(address), .. }) => self.check(&written, address),
            _ => Ok(()),
        }
    }
}

/// An address that the policy does not allow, with the setting that would open it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// The host as the URL names it.
    pub host: String,
    /// The address it stands for, as found (not unwrapped).
    pub address: IpAddr,
    /// Whether the operator opened something else: then the setting is added to, not set, and the text does not
    /// show a tenant what is open.
    others_are_open: bool,
}

impl Refusal {
    /// The entry that would open exactly this address, e.g. `127.0.0.1/32`.
    #[must_use]
    pub fn entry(&self) -> String {
        IpNet::from(unwrap(self.address)).to_string()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, address, .. } = self;
        let entry = self.entry();
        write!(f, "address {address} of \"{host}\" is not a public address; to allow it ")?;
        if self.others_are_open {
            write!(f, "add {entry} to {ALLOW_NETWORKS}")
        } else {
            write!(f, "set {ALLOW_NETWORKS}={entry}")
        }
    }
}

/// An entry of the allowed networks that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworksError {
    /// Neither a CIDR, nor an address, nor `lan`.
    #[error("\"{0}\" is not a network; write a CIDR such as 10.20.0.0/16, one address, or lan")]
    NotANetwork(String),
    /// Bits are set to the right of the prefix, so it is unclear how much is meant.
    #[error(
        "\"{written}\" has bits set after its prefix; write {network} for the whole network or {address} for the one address"
    )]
    HostBits {
        /// The entry as written.
        written: String,
        /// The network it lies in.
        network: IpNet,
        /// The single address that was written.
        address: IpAddr,
    },
    /// A range of IPv6 addresses that only carry IPv4 addresses: these are judged by the carried address.
    #[error(
        "\"{written}\" lies in {range}, whose addresses are judged by the IPv4 address they carry; write the IPv4 network"
    )]
    Wrapped {
        /// The entry as written.
        written: String,
        /// The wrapping range.
        range: IpNet,
    },
}

fn network(written: &str) -> Result<IpNet, NetworksError> {
    let net = written
        .parse::<IpNet>()
        .or_else(|_| written.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| NetworksError::NotANetwork(written.to_owned()))?;
    if net.addr() != net.network() {
        return Err(NetworksError::HostBits { written: written.to_owned(), network: net.trunc(), address: net.addr() });
    }
    match wrapping(&net) {
        Some(range) => Err(NetworksError::Wrapped { written: written.to_owned(), range }),
        None => Ok(net),
    }
}

fn wrapping(net: &IpNet) -> Option<IpNet> {
    match net {
        IpNet::V4(_) => None,
        IpNet::V6(net) => wrapping_of(net).map(IpNet::V6),
    }
}
