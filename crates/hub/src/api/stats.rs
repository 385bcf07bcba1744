//! `GET …/stats`: an integration in figures.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tillstream_model::Seq;
use tillstream_model::integration::Status;
use tillstream_store::state::Totals;
use utoipa::ToSchema;

use super::docs::{Denied, Missing, OfIntegration};
use super::extract::{Caller, Place};
use super::integrations::find;
use super::lane_view::{CursorView, LaneView, standing};
use super::schema;
use crate::Hub;
use crate::access::Scope;
use crate::problem::Result;

/// An integration in figures.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stats {
    /// Whether it works.
    #[schema(value_type = schema::Status)]
    pub status: Status,
    /// The company's last position.
    #[schema(value_type = u64)]
    pub head: Seq,
    /// Where it stands in the log.
    pub cursor: CursorView,
    /// What its lane is doing now; null while it is stopped.
    #[schema(required = true)]
    pub lane: Option<LaneView>,
    /// Counts since it was made.
    pub totals: TotalsView,
}

/// Counts since an integration was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Totals)]
pub struct TotalsView {
    /// Events delivered.
    pub delivered: u64,
    /// Events rejected, expired ones not counted.
    pub rejected: u64,
    /// Events that became too old.
    pub expired: u64,
    /// Attempts that failed.
    pub failures: u64,
}

impl From<Totals> for TotalsView {
    fn from(t: Totals) -> Self {
        TotalsView { delivered: t.delivered, rejected: t.rejected, expired: t.expired, failures: t.failures }
    }
}

/// Show an integration in figures
#[utoipa::path(
    get, path = "/v1/integrations/{id}/stats", tag = "deliveries",
    params(OfIntegration),
    responses((status = 200, description = "Its figures", body = Stats), Denied, Missing)
)]
pub async fn integration_stats(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<Stats>> {
    let company = caller.company(Scope::DeliveriesRead)?;
    let integration = find(&hub, &caller, company, &id).await?;
    let head = hub.log().head(company.no).await?;
    let standing = standing(&hub, &integration, head).await?;
    Ok(Json(Stats {
        status: integration.status,
        head,
        cursor: standing.view(hub.now()),
        lane: standing.lane.as_ref().map(LaneView::from),
        totals: standing.figures.totals.into(),
    }))
}
