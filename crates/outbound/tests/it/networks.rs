//! Which addresses the policy allows, by number.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use tillstream_outbound::{NetworksError, Policy};

/// Refused by number: first and last of each IPv4 range, then IPv6, then IPv4 in IPv6.
const REFUSED: &str = "
    0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.100.100.200 100.127.255.255
    127.0.0.0 127.0.0.1 127.255.255.255 168.63.129.16 169.254.0.0 169.254.169.254 169.254.170.2
    169.254.255.255 172.16.0.0 172.31.255.255 192.0.0.0 192.0.0.192 192.0.0.255 192.0.2.0 192.0.2.255
    192.88.99.0 192.88.99.255 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255 198.51.100.0
    198.51.100.255 203.0.113.0 203.0.113.255 224.0.0.0 224.0.0.251 239.255.255.255 240.0.0.0
    255.255.255.254 255.255.255.255

    :: ::1 100:: 100::ffff:ffff:ffff:ffff 100:0:0:1::1 200::1 2001::1 2001:1::1 2001:2::1 2001:10::1
    2001:20::1 2001:1ff:ffff::1 2001:db8::1 2001:db8:ffff::1 3fff::1 3fff:fff:ffff::1 4000::1 5f00::1
    64:ff9b:1::1 64:ff9b:1::808:808 fc00:: fd00:ec2::254 fd20:ce::254 fd00:c1::a9fe:a9fe fdff:ffff::1
    fe00::1 fe80::1 febf::1 fec0::1 feff::1 ff02::1 ff0e::1

    ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1 ::127.0.0.2 ::10.0.0.1
    ::192.168.1.1 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254
    64:ff9b::255.255.255.255 2002:7f00:1:: 2002:a00:1::1 2002:c0a8:101::1 2002:a9fe:a9fe::
    2001:0:808:808::f7f7:f7f7 2001:0:808:808::80ff:fffe";

/// Allowed by number: the neighbours of the ranges above, and public addresses in IPv6.
const ALLOWED: &str = "
    1.0.0.0 1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255
    128.0.0.0 168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0
    192.0.1.0 192.0.1.255 192.0.3.0 192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0
    198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255

    2000::1 2001:200::1 2001:db7::1 2001:db9::1 2606:4700:4700::1111 2a00:1450:4001::1 3ffe::1
    3fff:1000::1 ::ffff:8.8.8.8 ::8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1";

fn listed(addresses: &str) -> impl Iterator<Item = IpAddr> {
    addresses.split_whitespace().map(ip)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn policy(entries: &[&str]) -> Policy {
    Policy::new(entries).unwrap()
}

#[test]
fn without_openings_only_public_unicast_is_allowed() {
    let policy = Policy::default();
    for address in listed(REFUSED) {
        assert!(!policy.allows(address), "{address} must be refused");
    }
    for address in listed(ALLOWED) {
        assert!(policy.allows(address), "{address} must be allowed");
    }
}

/// What `lan` opens of [`REFUSED`].
const PRIVATE: &str = "
    10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 fc00:: fdff:ffff::1
    ::ffff:10.0.0.1 ::10.0.0.1 ::192.168.1.1 64:ff9b::10.0.0.1 2002:a00:1::1 2002:c0a8:101::1";

#[test]
fn lan_opens_private_ranges_and_nothing_else() {
    let policy = policy(&["lan"]);
    let private: Vec<IpAddr> = listed(PRIVATE).collect();
    for address in listed(REFUSED) {
        assert_eq!(policy.allows(address), private.contains(&address), "{address}");
    }
    assert!(listed(ALLOWED).all(|address| policy.allows(address)));
}

#[test]
fn a_listed_network_opens_exactly_its_addresses_in_every_wrapping() {
    let policy = policy(&[" 10.20.0.0/16 ", "fd12::/48", "169.254.169.254", ""]);
    let open = [
        "10.20.0.0",
        "10.20.255.255",
        "fd12::1",
        "169.254.169.254",
        "::ffff:10.20.3.4",
        "64:ff9b::10.20.3.4",
        "2002:a14:304::1",
    ];
    let shut = ["10.19.255.255", "10.21.0.0", "fd12:0:1::1", "169.254.169.253", "::ffff:10.21.0.0", "127.0.0.1"];
    for address in open {
        assert!(policy.allows(ip(address)), "{address} was listed");
    }
    for address in shut {
        assert!(!policy.allows(ip(address)), "{address} was not listed");
    }
}

#[test]
fn the_whole_of_ipv4_can_be_listed_and_opens_no_ipv6() {
    let policy = policy(&["0.0.0.0/0"]);
    assert!(policy.allows(ip("127.0.0.1")));
    assert!(policy.allows(ip("::ffff:127.0.0.1")));
    assert!(!policy.allows(ip("::1")));
    assert!(!policy.allows(ip("fd00::1")));
}

#[test]
fn a_refusal_names_the_entry_that_would_open_the_address() {
    let told = |policy: &Policy, host: &str, address: &str| policy.check(host, ip(address)).unwrap_err().to_string();
    let shut = Policy::default();
    assert_eq!(
        told(&shut, "localhost", "127.0.0.1"),
        "address 127.0.0.1 of \"localhost\" is not a public address; \
         to allow it set TILLSTREAM_ALLOW_NETWORKS=127.0.0.1/32"
    );
    assert!(told(&shut, "erp", "fd00::7").ends_with("TILLSTREAM_ALLOW_NETWORKS=fd00::7/128"));
    assert!(told(&shut, "x", "::ffff:10.0.0.7").ends_with("TILLSTREAM_ALLOW_NETWORKS=10.0.0.7/32"));
    // Setting it would close what is open already, and what is open is not a tenant's business.
    let some = policy(&["10.20.0.0/16"]);
    let text = told(&some, "localhost", "127.0.0.1");
    assert!(text.ends_with("to allow it add 127.0.0.1/32 to TILLSTREAM_ALLOW_NETWORKS"));
    assert!(!text.contains("10.20"));
}

#[test]
fn the_named_entry_opens_every_refused_address() {
    for address in listed(REFUSED) {
        let entry = Policy::default().check("x", address).unwrap_err().entry();
        assert!(policy(&[&entry]).allows(address), "{entry} must open {address}");
    }
}

#[test]
fn wrong_entries_are_refused_with_what_to_write() {
    let wrong = |entry: &str| Policy::new(&["lan", entry]).unwrap_err();
    for text in ["LAN", "localhost", "10.0.0.0/33", "10.0.0", "fd00::/129", "10.0.0.0-10.0.0.9", "*"] {
        assert_eq!(wrong(text), NetworksError::NotANetwork(text.to_owned()));
    }
    let bits = wrong("10.1.2.3/8").to_string();
    assert!(bits.contains("10.0.0.0/8") && bits.contains("10.1.2.3 for the one"), "{bits}");
    for wrapped in ["::ffff:10.0.0.0/104", "64:ff9b::/96", "2002::/16", "2002:a00::/24", "::/96"] {
        let error = wrong(wrapped);
        assert!(matches!(error, NetworksError::Wrapped { .. }), "{wrapped}: {error}");
    }
}

/// Every way to hide an IPv4 address in an IPv6 address.
fn wrappings(v4: Ipv4Addr) -> [Ipv6Addr; 8] {
    let [a, b] = [(v4.to_bits() >> 16) as u16, v4.to_bits() as u16];
    [
        v4.to_ipv6_mapped(),
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, a, b),
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, a, b),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, a, b),
        Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0x2001, 0, a, b, 0, 0, !0x808, !0x808),
        Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, !a, !b),
    ]
}

/// Any address, with the refused ranges as likely as the rest.
fn any_v4() -> impl Strategy<Value = Ipv4Addr> {
    let v4 = |address| match address {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    };
    let refused: Vec<Ipv4Addr> = listed(REFUSED).filter_map(v4).collect();
    let near = (proptest::sample::select(refused), 0_u32..=0xffff)
        .prop_map(|(near, low)| Ipv4Addr::from_bits(near.to_bits() ^ low));
    prop_oneof![any::<u32>().prop_map(Ipv4Addr::from_bits), near]
}

proptest! {
    #[test]
    fn no_refused_ipv4_address_is_allowed_by_any_wrapping(
        v4 in any_v4(),
        opened in proptest::sample::select(vec![&[][..], &["lan"], &["10.0.0.0/8", "127.0.0.0/8"]]),
    ) {
        let policy = policy(opened);
        prop_assume!(!policy.allows(v4.into()));
        for wrapped in wrappings(v4) {
            prop_assert!(!policy.allows(wrapped.into()), "{wrapped} hides {v4}");
        }
    }
}
