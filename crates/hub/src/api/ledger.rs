//! `GET …/ledger`: every wanted event with what became of it, so that a receiver can prove to itself that nothing is
//! missing (`contracts/hub-api.md`, "Integrations").

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::try_unfold;
use http::header;
use serde::{Deserialize, Serialize};
use tillstream_model::{CompanyNo, EventId, IntegrationNo, Seq, Time};
use tillstream_store::{ReadLimit, StoreError};
use utoipa::{IntoParams, ToSchema};

use super::docs::{Denied, Missing, OfIntegration, WrongQuery};
use super::extract::{Caller, Params, Place};
use super::integrations::find;
use super::outcome::{Ended, Judged, judge};
use crate::Hub;
use crate::access::Scope;
use crate::problem::Result;

/// What is read at once and held in memory.
const BATCH: ReadLimit = ReadLimit { events: 1_000, bytes: 4 << 20 };
/// The media type of lines of JSON.
const NDJSON: &str = "application/x-ndjson";

/// Which part of the log.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerQuery {
    /// Accepted at or after; everything kept when it is left out.
    #[param(value_type = Option<String>, format = DateTime)]
    pub from: Option<Time>,
    /// Accepted before; up to now when it is left out.
    #[param(value_type = Option<String>, format = DateTime)]
    pub to: Option<Time>,
}

/// One line of the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerRow {
    /// The event's id, as the header `webhook-id` has it.
    #[schema(value_type = String, example = "evt_01JD7ZQ4X8E9W3R5T6Y7P0A1BC")]
    pub webhook_id: EventId,
    /// The event's position, as the header `tillstream-seq` has it.
    #[schema(example = "1-4711")]
    pub seq: String,
    /// What became of it.
    pub outcome: LedgerOutcome,
    /// When; null for what still waits or is not known.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub at: Option<Time>,
}

/// What became of a wanted event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LedgerOutcome {
    /// The receiver confirmed it.
    Delivered,
    /// It was given up; listed among the rejected events for 30 days.
    Rejected,
    /// It became too old and was given up.
    Expired,
    /// It waits to be sent.
    Pending,
    /// Its payload was deleted before it was sent.
    Deleted,
    /// It is done with; attempts are kept 30 days, and these have passed.
    Settled,
}

/// Read the ledger of an integration
///
/// One line for each event that the integration wanted with the settings then in force, in the order of the log.
/// Streamed, however long it is; an answer that breaks off is not complete.
#[utoipa::path(
    get, path = "/v1/integrations/{id}/ledger", tag = "deliveries",
    params(OfIntegration, LedgerQuery),
    responses(
        (status = 200, description = "Lines of JSON", body = LedgerRow, content_type = "application/x-ndjson"),
        Denied, Missing, WrongQuery
    )
)]
pub async fn read_ledger(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Params(query): Params<LedgerQuery>,
) -> Result<Response> {
    let company = caller.company(Scope::DeliveriesRead)?;
    let integration = find(&hub, &caller, company, &id).await?;
    let after = match query.from {
        Some(time) => hub.log().before(company.no, time).await?,
        None => hub.log().floor(company.no).await?,
    };
    let to = match query.to {
        Some(time) => hub.log().before(company.no, time).await?,
        None => hub.log().head(company.no).await?,
    };
    let walk = Walk { hub, company: company.no, no: integration.no, after, to };
    let lines = try_unfold(walk, |mut walk| async move {
        let lines = walk.lines().await.inspect_err(|e| tracing::warn!(error = %e, "a ledger breaks off"))?;
        Ok::<_, StoreError>(lines.map(|lines| (lines, walk)))
    });
    Ok(([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response())
}

/// Goes through the log once.
struct Walk {
    hub: Hub,
    company: CompanyNo,
    no: IntegrationNo,
    after: Seq,
    to: Seq,
}

impl Walk {
    /// The lines of some events; None at the end.
    async fn lines(&mut self) -> std::result::Result<Option<Bytes>, StoreError> {
        while self.after < self.to {
            let mut events = self.hub.log().read(self.company, self.after, BATCH).await?;
            let Some(last) = events.last().map(|e| e.seq) else { return Ok(None) };
            events.retain(|e| e.seq <= self.to);
            let mut lines = Vec::new();
            for row in judge(&self.hub, self.no, &events).await?.iter().filter_map(|judged| self.row(judged)) {
                serde_json::to_writer(&mut lines, &row)
                    .map_err(|e| StoreError::new("write a line of the ledger", e.to_string()))?;
                lines.push(b'\n');
            }
            self.after = last;
            if !lines.is_empty() {
                return Ok(Some(lines.into()));
            }
        }
        Ok(None)
    }

    /// The line of an event; None when the integration did not want it.
    fn row(&self, judged: &Judged) -> Option<LedgerRow> {
        let (outcome, at) = match &judged.ended {
            Ended::BeforeStart | Ended::NotWanted(_) => return None,
            Ended::Delivered(at) => (LedgerOutcome::Delivered, Some(*at)),
            Ended::Rejected(r) if r.reason == "expired" => (LedgerOutcome::Expired, Some(r.at)),
            Ended::Rejected(r) => (LedgerOutcome::Rejected, Some(r.at)),
            Ended::Refused(at) => (LedgerOutcome::Rejected, Some(*at)),
            Ended::Parked(_) | Ended::Pending => (LedgerOutcome::Pending, None),
            Ended::Deleted => (LedgerOutcome::Deleted, None),
            Ended::Settled => (LedgerOutcome::Settled, None),
        };
        let event = &judged.event;
        Some(LedgerRow {
            webhook_id: event.id,
            seq: self.hub.stores().epochs.position(event.seq).to_string(),
            outcome,
            at,
        })
    }
}
