//! `POST …/validate` and `POST …/test`: whether settings are right and a target can be reached, before it matters.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tillstream_model::integration::{Settings, Wrong as WrongValue};
use tillstream_model::json::Json as RawJson;
use tillstream_model::verdict::{Answer, Verdict, verdict};
use tillstream_model::{CompanyNo, Content, Event, EventId, Time};
use tillstream_store::state::{Company, KEPT_ANSWER_BYTES};
use utoipa::ToSchema;

use super::attempt_view::{RequestView, request_of};
use super::audit::{self, Change};
use super::docs::{Denied, Missing, OfIntegration, Wrong};
use super::extract::{Caller, Doc, MaybeDoc, Place};
use super::integrations::{find, object};
use super::{integration_doc, schema};
use crate::Hub;
use crate::access::Scope;
use crate::deliver::{Check, Tried, Untold};
use crate::problem::{Problem, Result};

/// The name of the made-up event.
pub const TEST_EVENT: &str = "tillstream.test";
/// Its payload.
const TEST_DATA: &str = r#"{"message":"A test delivery of Tillstream. Nothing happened."}"#;

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Validation {
    /// Whether everything is as it should be.
    pub ok: bool,
    /// What was looked at.
    pub checks: Vec<CheckView>,
}

/// Something that was looked at.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Check)]
pub struct CheckView {
    /// `settings`, `dns`, `connect`, `tls` or `token`.
    #[schema(example = "connect")]
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found, in one line.
    pub detail: String,
}

/// Which site the test event comes from.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestWish {
    /// Its own authorization is sent, if it has one.
    #[serde(default)]
    pub site: Option<String>,
}

/// What came of a test event.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestResult {
    /// Whether the receiver took it.
    pub ok: bool,
    /// What was sent, secrets masked.
    pub request: RequestView,
    /// What came back; null when nothing did.
    #[schema(required = true)]
    pub response: Option<TestResponse>,
    /// Why nothing came back.
    #[schema(required = true)]
    pub failure: Option<TestFailure>,
    /// How long it took.
    pub response_time_ms: u64,
}

/// The answer to a test event.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestResponse {
    /// HTTP status.
    pub status: u16,
    /// The first 4 KiB.
    pub body: String,
}

/// Why there is no answer to a test event.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestFailure {
    /// `token`, `dns`, `refused`, `timeout`, …
    #[schema(example = "refused")]
    pub cause: String,
    /// One line in words.
    pub detail: String,
}

/// Validate settings
///
/// That are not saved: whether they are right, and whether their target can be reached and gives a token where one is
/// needed. The target gets an `OPTIONS` request and nothing else. A masked secret stands for the saved one of the
/// integration with this id.
#[utoipa::path(
    post, path = "/v1/integrations/validate", tag = "integrations",
    request_body = schema::IntegrationWritten,
    responses((status = 200, description = "What was found", body = Validation), Denied, Wrong)
)]
pub async fn validate_settings(
    State(hub): State<Hub>,
    caller: Caller,
    Doc(doc): Doc<Value>,
) -> Result<Json<Validation>> {
    let company = caller.company(Scope::IntegrationsWrite)?;
    match completed(&hub, &caller, company, doc).await? {
        Ok(settings) => Ok(Json(validated(&hub, company, &settings).await)),
        Err(problem) => Ok(Json(refused(&problem))),
    }
}

/// Validate an integration
///
/// Whether its target can be reached now, and gives a token where one is needed. The target gets an `OPTIONS` request
/// and nothing else.
#[utoipa::path(
    post, path = "/v1/integrations/{id}/validate", tag = "integrations",
    params(OfIntegration),
    responses((status = 200, description = "What was found", body = Validation), Denied, Missing)
)]
pub async fn validate_integration(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<Validation>> {
    let company = caller.company(Scope::IntegrationsWrite)?;
    let integration = find(&hub, &caller, company, &id).await?;
    Ok(Json(validated(&hub, company, &integration.settings).await))
}

/// Send a test event
///
/// A made-up, signed event `tillstream.test` goes to the real target right now, whatever the integration selects and
/// also while it is stopped. It is in no log and no count; the audit notes it.
#[utoipa::path(
    post, path = "/v1/integrations/{id}/test", tag = "integrations",
    request_body = Option<TestWish>,
    params(OfIntegration),
    responses((status = 200, description = "What came of it", body = TestResult), Denied, Missing, Wrong)
)]
pub async fn send_test(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    MaybeDoc(wish): MaybeDoc<TestWish>,
) -> Result<Json<TestResult>> {
    let company = caller.company(Scope::DeliveriesWrite)?;
    let integration = find(&hub, &caller, company, &id).await?;
    let event = test_event(company.no, wish.site, hub.now(), rand::random());
    let settings = integration.settings.clone();
    let Some(tried) = hub.deliver().try_out(company.no, settings.clone(), &event).await? else {
        let why = format!("nothing is sent to a target of the kind {}", settings.target.kind());
        return Err(Problem::invalid([WrongValue::new("target.kind", why)]));
    };
    let result = result(&settings, tried);
    let sent = Change::of("integration.tested", object(&id)).after(&serde_json::json!({"ok": result.ok}));
    audit::note(&hub, &caller, Some(company.no), sent).await?;
    Ok(Json(result))
}

/// The settings that a document stands for, or what is wrong with it.
async fn completed(
    hub: &Hub,
    caller: &Caller,
    company: &Company,
    doc: Value,
) -> Result<std::result::Result<Arc<Settings>, Problem>> {
    let id = doc.get("id").and_then(Value::as_str).filter(|id| caller.reaches_integration(id).is_ok());
    let saved = match id {
        Some(id) => hub.state().integration(company.no, id).await?,
        None => None,
    };
    let settings = match &saved {
        Some(saved) => integration_doc::for_replacement(doc, &saved.settings, saved.status),
        None => integration_doc::for_creation(doc, hub.now()),
    };
    Ok(settings.map(Arc::new))
}

async fn validated(hub: &Hub, company: &Company, settings: &Settings) -> Validation {
    let mut checks = vec![match integration_doc::check_address(hub.outbound(), settings).await {
        Ok(()) => Check::new("settings", true, "every value is right"),
        Err(problem) => Check::new("settings", false, problem.detail()),
    }];
    checks.extend(hub.deliver().check_target(company.no, settings).await);
    told(checks)
}

fn refused(problem: &Problem) -> Validation {
    let wrong = problem.errors().iter().map(|e| match e.path.as_str() {
        "" => Check::new("settings", false, e.message.clone()),
        path => Check::new("settings", false, format!("{path}: {}", e.message)),
    });
    told(wrong.collect())
}

fn told(checks: Vec<Check>) -> Validation {
    let view = |c: Check| CheckView { name: c.name.to_owned(), ok: c.ok, detail: c.detail };
    Validation { ok: checks.iter().all(|c| c.ok), checks: checks.into_iter().map(view).collect() }
}

/// An event that never happened, at no position.
fn test_event(company: CompanyNo, site: Option<String>, now: Time, random: [u8; 10]) -> Event {
    let content = Content {
        name: TEST_EVENT.into(),
        site: site.map(Into::into),
        terminal: None,
        entity_id: None,
        occurred_at: Some(now),
        business_date: None,
        correlation: None,
        caller_id: None,
        trace: None,
        data: RawJson::trusted(TEST_DATA),
    };
    Event { company, seq: 0, id: EventId::new(now, random), accepted_at: now, content }
}

fn result(settings: &Settings, tried: Tried) -> TestResult {
    let request = request_of(tried.request, true);
    match tried.reply {
        Ok(answer) => {
            let status = answer.status.as_u16();
            let ruling = verdict(Answer::Status { code: status, retry_after: None }, &settings.delivery.verdicts);
            let kept = &answer.body_start[..answer.body_start.len().min(KEPT_ANSWER_BYTES)];
            TestResult {
                ok: ruling == Verdict::Delivered,
                request,
                response: Some(TestResponse { status, body: String::from_utf8_lossy(kept).into_owned() }),
                failure: None,
                response_time_ms: milliseconds(answer.elapsed),
            }
        }
        Err(Untold { cause, detail, elapsed }) => TestResult {
            ok: false,
            request,
            response: None,
            failure: Some(TestFailure { cause: cause.to_owned(), detail }),
            response_time_ms: milliseconds(elapsed),
        },
    }
}

fn milliseconds(elapsed: std::time::Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
