//! What the URL of an outgoing call may look like, and what its host stands for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

/// The longest URL, in bytes.
pub const MAX_URL_BYTES: usize = 2_048;

/// The longest name and the longest label of a name, in bytes (RFC 1035).
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// Why a URL cannot be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Longer than [`MAX_URL_BYTES`].
    #[error("the URL is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    /// White space or a control character anywhere, ends included.
    #[error("the URL has white space or a control character in it")]
    WhiteSpace,
    /// A character outside ASCII.
    #[error("the URL has a character that must be percent-encoded (or, in the host, written as xn--…)")]
    NotAscii,
    /// A fragment, which is never sent.
    #[error("the URL has a fragment (#…); leave it away")]
    Fragment,
    /// Not `http` or `https`.
    #[error("the URL does not begin with http:// or https://")]
    Scheme,
    /// A user name or password in front of the host.
    #[error("the URL has a user name or password in it; use the authorization setting")]
    UserInfo,
    /// No host.
    #[error("the URL has no host")]
    NoHost,
    /// A host that is neither a name nor an address.
    #[error("the URL's host is neither a name nor an address")]
    Host,
    /// A port outside 1 to 65,535.
    #[error("the URL's port is not a number from 1 to 65535")]
    Port,
    /// Anything else that no URL has.
    #[error("this is not a URL")]
    Malformed,
}

/// Checks a URL when it is saved: no white space, `http` or `https`, a host, no user info, no fragment, at most
/// [`MAX_URL_BYTES`] (`contracts/hub-api.md`, HTTP target). The address is checked when it is called, and a literal one
/// early by [`Policy::check_literal`](crate::Policy::check_literal).
///
/// # Errors
/// [`UrlError`] says in one line what is wrong.
pub fn check_url(text: &str) -> Result<Uri, UrlError> {
    if text.len() > MAX_URL_BYTES {
        return Err(UrlError::TooLong);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(UrlError::WhiteSpace);
    }
    if !text.is_ascii() {
        return Err(UrlError::NotAscii);
    }
    // The parser would drop a fragment without a word.
    if text.contains('#') {
        return Err(UrlError::Fragment);
    }
    let uri: Uri = text.parse().map_err(|_| without_uri(text))?;
    Origin::of(&uri).map(|_| uri)
}

/// Where a URL leads: what to look up, connect to and check the certificate for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The host as written.
    pub(crate) written: String,
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

/// What a host stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name to look up.
    Name(String),
    /// A literal address, whatever its spelling.
    Address(IpAddr),
}

impl Origin {
    /// Reads the origin of an absolute URL.
    pub(crate) fn of(uri: &Uri) -> Result<Self, UrlError> {
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(UrlError::Scheme),
        };
        let authority = uri.authority().ok_or(UrlError::NoHost)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::UserInfo);
        }
        let written = authority.host();
        Ok(Self { written: written.to_owned(), host: host(written)?, port: port(authority, tls)?, tls })
    }
}

/// What is wrong with a text that the parser refuses as a whole.
fn without_uri(text: &str) -> UrlError {
    let Some((scheme, rest)) = text.split_once("://") else {
        return UrlError::Scheme;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
        UrlError::Scheme
    } else if authority.is_empty() {
        UrlError::NoHost
    } else if authority.contains('@') {
        UrlError::UserInfo
    } else {
        UrlError::Malformed
    }
}

fn port(authority: &http::uri::Authority, tls: bool) -> Result<u16, UrlError> {
    let after_host = &authority.as_str()[authority.host().len()..];
    match after_host.strip_prefix(':') {
        None => Ok(if tls { 443 } else { 80 }),
        Some(_) => authority.port_u16().filter(|port| *port > 0).ok_or(UrlError::Port),
    }
}

fn host(written: &str) -> Result<Host, UrlError> {
    if written.is_empty() {
        return Err(UrlError::NoHost);
    }
    if let Some(inner) = written.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(UrlError::Host)?;
        let address: Ipv6Addr = inner.parse().map_err(|_| UrlError::Host)?;
        return Ok(Host::Address(address.into()));
    }
    // A name may end in one dot, the root's; certificates and SNI do without.
    let name = written.strip_suffix('.').unwrap_or(written);
    if name.rsplit('.').next().is_some_and(is_number) {
        return ipv4(name).map(|address| Host::Address(address.into())).ok_or(UrlError::Host);
    }
    if is_name(name) { Ok(Host::Name(name.to_ascii_lowercase())) } else { Err(UrlError::Host) }
}

fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= MAX_NAME_BYTES && name.split('.').all(label)
}

/// Whether a host ending in this label is an IPv4 address to the system's resolver and to browsers.
fn is_number(label: &str) -> bool {
    match hex_digits(label) {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// The IPv4 spellings that resolvers know: one to four parts, each decimal, octal (`0…`) or hexadecimal (`0x…`), the
/// last one filling the bytes that are left (URL standard, "IPv4 parser").
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    let bytes_left = 4_usize.checked_sub(first.len())?;
    if bytes_left == 0 || first.iter().any(|part| *part > 255) || *last >= 1 << (8 * bytes_left) {
        return None;
    }
    let high = first.iter().enumerate().fold(0, |sum, (i, part)| sum | part << (8 * (3 - i)));
    u32::try_from(high | last).ok().map(Ipv4Addr::from_bits)
}

fn number(part: &str) -> Option<u64> {
    match hex_digits(part) {
        Some("") => Some(0),
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if part.len() > 1 && part.starts_with('0') => u64::from_str_radix(part, 8).ok(),
        None => part.parse().ok(),
    }
}

fn hex_digits(part: &str) -> Option<&str> {
    part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"))
}
