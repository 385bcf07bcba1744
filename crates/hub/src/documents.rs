//! Small things of the hub: what is in a document of the state, by its kind.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tillstream_model::{CompanyNo, Time};
use tillstream_store::state::{Document, Expected, SaveError};
use tillstream_store::{State, StoreError};

/// What is stored as documents of one kind. Fields are only added, with defaults: older ones are read for ever.
pub trait Kind: Serialize + DeserializeOwned {
    /// The kind, as stored.
    const KIND: &'static str;
}

/// Something as saved.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved<T> {
    /// Its id.
    pub id: String,
    /// What it is.
    pub value: T,
    /// Counts the saves, from 1.
    pub version: u32,
    /// When it was made.
    pub created_at: Time,
    /// When it was last saved.
    pub updated_at: Time,
}

/// The one with this id.
pub async fn get<T: Kind>(state: &dyn State, of: Option<CompanyNo>, id: &str) -> Result<Option<Saved<T>>, StoreError> {
    state.document(of, T::KIND, id).await?.map(read).transpose()
}

/// Those after an id, by id; from the first one when that is empty.
pub async fn list<T: Kind>(
    state: &dyn State,
    of: Option<CompanyNo>,
    after: &str,
    limit: usize,
) -> Result<Vec<Saved<T>>, StoreError> {
    state.documents(of, T::KIND, after, limit).await?.into_iter().map(read).collect()
}

/// Saves one.
pub async fn put<T: Kind>(
    state: &dyn State,
    of: Option<CompanyNo>,
    id: &str,
    value: &T,
    expected: Expected,
) -> Result<Saved<T>, SaveError> {
    let body =
        serde_json::to_string(value).map_err(|e| StoreError::new(format!("write a {}", T::KIND), e.to_string()))?;
    Ok(read(state.put_document(of, T::KIND, id, body, expected).await?)?)
}

/// Removes one; what it was.
pub async fn delete<T: Kind>(
    state: &dyn State,
    of: Option<CompanyNo>,
    id: &str,
) -> Result<Option<Saved<T>>, StoreError> {
    state.delete_document(of, T::KIND, id).await?.map(read).transpose()
}

fn read<T: Kind>(document: Document) -> Result<Saved<T>, StoreError> {
    let Document { id, body, version, created_at, updated_at } = document;
    let value = serde_json::from_str(&body)
        .map_err(|e| StoreError::new(format!("read the {} \"{id}\"", T::KIND), e.to_string()))?;
    Ok(Saved { id, value, version, created_at, updated_at })
}
