//! Which addresses are globally routable unicast, from the IANA special-purpose registries (RFC 6890 and its updates).
//!
//! IPv4 is public unless listed here. IPv6 is the other way round: only `2000::/3` is global unicast today, so what
//! lies outside is refused without naming it (loopback, link-local, ULA, site-local, multicast, discard `100::/64`,
//! the local NAT64 range `64:ff9b:1::/48`, …).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// The IPv4 ranges that are not globally routable unicast.
const NOT_PUBLIC_V4: [Ipv4Net; 17] = [
    v4(0, 0, 0, 0, 8),          // this network, RFC 791
    v4(10, 0, 0, 0, 8),         // private, RFC 1918
    v4(100, 64, 0, 0, 10),      // carrier-grade NAT, RFC 6598; one cloud's metadata lives here
    v4(127, 0, 0, 0, 8),        // loopback
    v4(168, 63, 129, 16, 32),   // public by number, but one cloud's host agent answers on it
    v4(169, 254, 0, 0, 16),     // link-local, RFC 3927; metadata of most clouds
    v4(172, 16, 0, 0, 12),      // private, RFC 1918
    v4(192, 0, 0, 0, 24),       // IETF protocol assignments, RFC 6890
    v4(192, 0, 2, 0, 24),       // documentation, RFC 5737
    v4(192, 88, 99, 0, 24),     // 6to4 relays, deprecated by RFC 7526
    v4(192, 168, 0, 0, 16),     // private, RFC 1918
    v4(198, 18, 0, 0, 15),      // benchmarking, RFC 2544
    v4(198, 51, 100, 0, 24),    // documentation, RFC 5737
    v4(203, 0, 113, 0, 24),     // documentation, RFC 5737
    v4(224, 0, 0, 0, 4),        // multicast
    v4(240, 0, 0, 0, 4),        // reserved, RFC 1112
    v4(255, 255, 255, 255, 32), // limited broadcast
];

/// The one range from which global IPv6 unicast is given out (RFC 4291).
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// What in [`GLOBAL_V6`] is not globally routable all the same.
const NOT_PUBLIC_V6: [Ipv6Net; 4] = [
    // IETF protocol assignments, RFC 2928. Teredo (2001::/32) is in it and refused as a whole: it carries a relay's
    // and a client's address, which give no single answer.
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    v6([0x2001, 0x0db8, 0, 0, 0, 0, 0, 0], 32), // documentation, RFC 3849
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),      // 6to4: never reached, unwrapped before
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),      // documentation, RFC 9637
];

/// IPv6 ranges that carry an IPv4 address, with the number of bits to the right of it.
const WRAPPINGS: [(Ipv6Net, u32); 5] = [
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), 0),    // IPv4-mapped, RFC 4291
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), 0),    // IPv4-translated, RFC 2765
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), 0),         // IPv4-compatible, RFC 4291
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), 0), // NAT64, RFC 6052
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), 80),   // 6to4, RFC 3056
];

/// Metadata and instance services of clouds inside the private ranges.
const METADATA_V6: [Ipv6Net; 3] = [
    v6([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0], 32),
    v6([0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0], 32),
    v6([0xfd00, 0x00c1, 0, 0, 0, 0, 0, 0], 32),
];

/// The private ranges that `lan` stands for: RFC 1918 and ULA (RFC 4193).
const PRIVATE_V4: [Ipv4Net; 3] = [v4(10, 0, 0, 0, 8), v4(172, 16, 0, 0, 12), v4(192, 168, 0, 0, 16)];
const PRIVATE_V6: Ipv6Net = v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7);

/// The IPv4 address that an IPv6 address carries, or the address itself.
pub(crate) fn unwrap(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    // `::` and `::1` lie in the IPv4-compatible range but carry nothing.
    if v6.is_unspecified() || v6.is_loopback() {
        return address;
    }
    WRAPPINGS
        .iter()
        .find(|(range, _)| range.contains(&v6))
        .map_or(address, |(_, right)| IpAddr::V4(carried(v6, *right)))
}

/// The range of wrapped IPv4 addresses in which the whole of `net` lies, if any.
pub(crate) fn wrapping_of(net: &Ipv6Net) -> Option<Ipv6Net> {
    // Asked of the last address: the first of the IPv4-compatible range, `::`, carries nothing.
    let last = IpAddr::V6(net.broadcast());
    let carries = unwrap(last) != last;
    let mut ranges = WRAPPINGS.iter().map(|(range, _)| *range);
    ranges.find(|range| carries && range.contains(net))
}

/// Whether an unwrapped address is globally routable unicast.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !NOT_PUBLIC_V4.iter().any(|range| range.contains(&v4)),
        IpAddr::V6(v6) => GLOBAL_V6.contains(&v6) && !NOT_PUBLIC_V6.iter().any(|range| range.contains(&v6)),
    }
}

/// Whether an unwrapped address is private and no cloud's metadata: what `lan` opens.
pub(crate) fn is_lan(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => PRIVATE_V4.iter().any(|range| range.contains(&v4)),
        IpAddr::V6(v6) => PRIVATE_V6.contains(&v6) && !METADATA_V6.iter().any(|range| range.contains(&v6)),
    }
}

fn carried(address: Ipv6Addr, bits_to_the_right: u32) -> Ipv4Addr {
    let low = (address.to_bits() >> bits_to_the_right) & u128::from(u32::MAX);
    Ipv4Addr::from_bits(low as u32)
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(s: [u16; 8], prefix: u8) -> Ipv6Net {
    let address = Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]);
    Ipv6Net::new_assert(address, prefix)
}
