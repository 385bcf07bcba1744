//! Tokens: random texts that open something once or for a while. Only their SHA-256 is stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tillstream_model::CompanyNo;

use super::hash_of;

/// Random bytes of a token.
const RANDOM_BYTES: usize = 32;
/// Bytes of a token: the random ones, then the company's number, so that it is looked up inside its company.
const BYTES: usize = RANDOM_BYTES + size_of::<u32>();

/// What a token opens; each has a prefix of its own, so that none is taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// A person's session, in a cookie.
    Person,
    /// A session of the portal inside somebody's page, as a bearer token.
    Portal,
    /// Setting a password, once.
    Password,
    /// Starting a session of the portal inside somebody's page, once.
    PortalStart,
}

impl Opens {
    /// What its tokens start with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Opens::Person => "tsu_",
            Opens::Portal => "tss_",
            Opens::Password => "tsl_",
            Opens::PortalStart => "tsp_",
        }
    }
}

/// A new token: its text, which is shown once, and the id under which what it opens is stored.
pub fn make(opens: Opens, company: CompanyNo, random: [u8; RANDOM_BYTES]) -> (String, String) {
    let mut bytes = [0; BYTES];
    bytes[..RANDOM_BYTES].copy_from_slice(&random);
    bytes[RANDOM_BYTES..].copy_from_slice(&company.0.to_be_bytes());
    let text = format!("{}{}", opens.prefix(), URL_SAFE_NO_PAD.encode(bytes));
    let id = id_of(&text);
    (text, id)
}

/// The company and the id that a token names; None when the text is no such token.
pub fn read(opens: Opens, text: &str) -> Option<(CompanyNo, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(opens.prefix())?.get(..BYTES.div_ceil(3) * 4)?).ok()?;
    let no = bytes.get(RANDOM_BYTES..).and_then(|no| <[u8; 4]>::try_from(no).ok())?;
    let expected = opens.prefix().len() + BYTES.div_ceil(3) * 4;
    (text.len() == expected).then(|| (CompanyNo(u32::from_be_bytes(no)), id_of(text)))
}

/// The id under which what a token opens is stored: its SHA-256 in hexadecimal.
fn id_of(text: &str) -> String {
    hash_of(text).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_to_its_company_and_is_not_stored_itself() {
        let (text, id) = make(Opens::Person, CompanyNo(7), [1; 32]);
        assert_eq!(read(Opens::Person, &text), Some((CompanyNo(7), id.clone())));
        assert!(!text.contains(&id) && id.len() == 64);
        assert_ne!(make(Opens::Person, CompanyNo(7), [2; 32]).1, id);
    }

    #[test]
    fn a_token_of_another_kind_or_shape_is_none() {
        let (text, _) = make(Opens::Password, CompanyNo(7), [1; 32]);
        assert_eq!(read(Opens::Person, &text), None);
        for wrong in ["", "tsl_", "tsl_é", &text[..text.len() - 1], &format!("{text}A"), &format!("{text}=")] {
            assert_eq!(read(Opens::Password, wrong), None, "{wrong}");
        }
    }
}
