//! W3C trace context (Recommendation of 23 November 2021): the trace that a source's request belongs to, which every
//! delivery of its events goes on with.

use std::fmt;

/// Bytes of a trace as it is stored.
pub const STORED_BYTES: usize = 25;
/// Characters of a `traceparent` of version 00; later versions may have more.
const LENGTH: usize = 55;
/// The flag that says the caller may have recorded it.
const SAMPLED: u8 = 1;

/// A trace and the place in it that something belongs below.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// Names the trace; never 0.
    pub id: u128,
    /// The span of whoever asks; never 0.
    pub span: u64,
    /// Whether the asker may have recorded it.
    pub sampled: bool,
}

impl Trace {
    /// Reads a `traceparent`. None when it is none, so that a trace begins anew (section 3.2.2): not of its form, ids of
    /// zeros or in upper case, or of version ff. Of a later version the part that this one knows is read, and of the
    /// flags the one that it knows.
    pub fn parse(text: &str) -> Option<Self> {
        let (known, more) = text.split_at_checked(LENGTH)?;
        let mut parts = known.split('-');
        let mut number = |digits: usize| hex(parts.next()?, digits);
        let (version, id, span, flags) = (number(2)?, number(32)?, number(16)?, number(2)?);
        let ends = more.is_empty() || version > 0 && more.starts_with('-');
        let known = version != 0xff && ends && id != 0 && span != 0;
        let sampled = flags & u128::from(SAMPLED) != 0;
        known.then_some(Self { id, span: u64::try_from(span).ok()?, sampled })
    }

    /// As it is stored: id, span and flags.
    pub fn to_bytes(self) -> [u8; STORED_BYTES] {
        let mut bytes = [0; STORED_BYTES];
        bytes[..16].copy_from_slice(&self.id.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.span.to_be_bytes());
        bytes[24] = u8::from(self.sampled);
        bytes
    }

    /// What was stored; None when it is not of that form.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (span, flags) = rest.split_first_chunk()?;
        let [flags] = flags else { return None };
        let sampled = flags & SAMPLED != 0;
        Some(Self { id: u128::from_be_bytes(*id), span: u64::from_be_bytes(*span), sampled })
    }
}

/// As a `traceparent`.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.id, self.span, u8::from(self.sampled))
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// So many digits in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let fits = text.len() == digits && text.bytes().all(is_hex);
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_traceparent_is_read_as_the_recommendation_says() {
        let whole = format!("00-{ID}-{SPAN}-01");
        let cases = [
            (whole.clone(), Some(true)),
            (format!("00-{ID}-{SPAN}-00"), Some(false)),
            // Flags that this version does not know.
            (format!("00-{ID}-{SPAN}-03"), Some(true)),
            (format!("00-{ID}-{SPAN}-fe"), Some(false)),
            // Later versions: what is known of them counts, and what follows may only follow a hyphen.
            (format!("cc-{ID}-{SPAN}-01"), Some(true)),
            (format!("cc-{ID}-{SPAN}-01-what-the-future-brings"), Some(true)),
            (format!("cc-{ID}-{SPAN}-01.what"), None),
            (format!("{whole}-more"), None),
            (format!("ff-{ID}-{SPAN}-01"), None),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            (format!("00-{ID}-{}-01", "0".repeat(16)), None),
            (format!("00-{}-{SPAN}-01", ID.to_uppercase()), None),
            (format!("00-{ID}-{}-01", SPAN.to_uppercase()), None),
            (format!("CC-{ID}-{SPAN}-01"), None),
            (format!("00-{ID}-{SPAN}-0x"), None),
            (format!("00-+{}-{SPAN}-01", &ID[1..]), None),
            (format!("00_{ID}_{SPAN}_01"), None),
            (format!("00-{ID}{SPAN}--01"), None),
            (whole[..54].to_owned(), None),
            (format!(" {whole}"), None),
            (format!("{whole} "), None),
            (format!("{}é{}", &whole[..54], "1"), None),
            (String::new(), None),
        ];
        for (text, sampled) in cases {
            let read = Trace::parse(&text);
            assert_eq!(read.map(|t| t.sampled), sampled, "{text}");
            let same = read.is_none_or(|t| t.to_string()[3..52] == whole[3..52]);
            assert!(same, "{text} is read as {read:?}");
        }
    }

    #[test]
    fn what_is_written_and_stored_reads_back() {
        for sampled in [true, false] {
            let trace = Trace { id: 1, span: u64::MAX, sampled };
            assert_eq!(Trace::parse(&trace.to_string()), Some(trace));
            assert_eq!(Trace::from_bytes(&trace.to_bytes()), Some(trace));
        }
        for wrong in [&[][..], &[1; STORED_BYTES - 1], &[1; STORED_BYTES + 1]] {
            assert_eq!(Trace::from_bytes(wrong), None);
        }
    }
}
