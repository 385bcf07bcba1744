//! Documents.

use tillstream_model::Time;

use crate::state::SaveError;

/// A small thing that is looked up by its id: a site, a user, a job. What is in it is the hub's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Unique among those of its kind and company.
    pub id: String,
    /// JSON.
    pub body: String,
    /// Counts the saves, from 1.
    pub version: u32,
    /// When it was made.
    pub created_at: Time,
    /// When it was last saved.
    pub updated_at: Time,
}

/// What a save counts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Anything,
    /// There is none of this id yet.
    New,
    /// This version is saved.
    Version(u32),
}

impl Expected {
    /// Whether what is there is what was expected.
    pub(crate) fn check(self, known: Option<&Document>) -> Result<(), SaveError> {
        match (self, known.map(|d| d.version)) {
            (Expected::Anything, _) | (Expected::New, None) => Ok(()),
            (Expected::Version(_), None) => Err(SaveError::Unknown),
            (Expected::Version(wanted), Some(found)) if wanted == found => Ok(()),
            (Expected::New | Expected::Version(_), Some(found)) => Err(SaveError::Changed(found)),
        }
    }
}
