//! `GET /v1/companies`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tillstream_store::state::Company;
use utoipa::ToSchema;

use super::docs::{Denied, WrongQuery};
use super::extract::{Caller, Params};
use super::paging::{Listing, Paging};
use crate::Hub;
use crate::problem::Result;

/// A company.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Company)]
pub struct CompanyView {
    /// The id people and other systems know.
    #[schema(example = "acme")]
    pub id: String,
    /// What people call it.
    pub name: String,
    /// How long its events are kept.
    #[schema(example = 30)]
    pub retention_days: i64,
}

impl From<&Company> for CompanyView {
    fn from(c: &Company) -> Self {
        CompanyView { id: c.external_id.clone(), name: c.name.clone(), retention_days: c.retention.days() }
    }
}

/// List companies
///
/// An application's key sees its own, an operator's all.
#[utoipa::path(
    get, path = "/v1/companies", tag = "companies",
    params(Paging),
    responses((status = 200, description = "A page", body = Listing<CompanyView>), Denied, WrongQuery)
)]
pub async fn list_companies(
    State(hub): State<Hub>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<CompanyView>>> {
    let mut all: Vec<CompanyView> = match caller.named_company() {
        Some(own) => vec![CompanyView::from(&**own)],
        None if caller.holder().scopes.is_operator() => {
            hub.state().companies().await?.iter().map(CompanyView::from).collect()
        }
        None => Vec::new(),
    };
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all.retain(|c| paging.after.as_ref().is_none_or(|after| *after < c.id));
    let more = all.len() > paging.limit.get();
    all.truncate(paging.limit.get());
    let next = all.last().filter(|_| more).map(|c| c.id.clone());
    Ok(Json(Listing { items: all, next }))
}
