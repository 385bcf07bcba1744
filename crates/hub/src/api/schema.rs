//! Shapes of the model's types for the API document. The handlers read and write the model's own types; a test holds
//! the two together.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// How long an integration lives.
#[derive(ToSchema)]
#[schema(as = IntegrationType, rename_all = "snake_case")]
pub enum LifeTime {
    /// Until it is deleted.
    Permanent,
}

/// How an event is written.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Format {
    /// Every field the hub has.
    Tillstream,
    /// `{tenant, name, published_at, payload}`.
    EventStream,
    /// CloudEvents 1.0, structured JSON.
    Cloudevents,
}

/// Whether an integration works.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Status {
    /// It takes events.
    Running,
    /// It stands still; events wait in the log.
    Stopped,
}

/// What is done with events of sites that nobody has made.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum UnknownSites {
    /// They are accepted, and the site is flagged as new.
    Accept,
    /// They are held until a person releases them.
    Hold,
}

/// Where events go: an HTTP receiver, one `POST` for each event.
/// Where events go: an HTTP receiver (one `POST` for each event), a feed (a consumer asks for them) or an inbox (the
/// last ones can be looked at). Only the kind `http` has the other members.
#[derive(ToSchema)]
pub struct Target {
    /// The kind of target; immutable.
    #[schema(pattern = "^(http|feed|inbox)$", example = "http")]
    pub kind: String,
    /// Absolute, `http` or `https`; needed with the kind `http`.
    #[schema(required = false, example = "https://erp.example/hooks")]
    pub url: String,
    /// Value of the `Authorization` header by site. Written, shown masked.
    #[schema(required = false)]
    pub authorization: Authorization,
    /// Where the token of the `Authorization` header comes from, in place of `authorization`.
    #[schema(required = false)]
    pub oauth2: OAuth2,
    /// More request headers. Written, values shown masked.
    #[schema(required = false)]
    pub headers: BTreeMap<String, String>,
}

/// A header's value for every site, and the sites that differ. May be written as the bare value.
#[derive(ToSchema)]
pub struct Authorization {
    /// For every site that is not listed.
    pub default: Option<String>,
    /// By site.
    #[schema(required = false)]
    pub sites: BTreeMap<String, Option<String>>,
    /// Takes over at its time, for every site.
    #[schema(required = false)]
    pub next: NextAuthorization,
}

/// A header's value that takes over at some time, in place of all that is said before.
#[derive(ToSchema)]
pub struct NextAuthorization {
    /// By site.
    pub value: PerSiteSecret,
    /// From then on.
    #[schema(format = DateTime, example = "2026-12-01T00:00:00.000Z")]
    pub from: String,
}

/// Client credentials for an access token (RFC 6749, section 4.4). It is kept while it is good and replaced before it
/// ends, or once after a 401.
#[derive(ToSchema)]
pub struct OAuth2 {
    /// Absolute, `http` or `https`.
    #[schema(example = "https://id.example/oauth2/token")]
    pub token_url: String,
    /// Who asks.
    pub client_id: String,
    /// What proves it. Written, shown masked.
    pub client_secret: String,
    /// What the token is asked for.
    #[schema(required = false)]
    pub scope: Option<String>,
}

/// A secret for every site, and the sites that differ. May be written as the bare value.
#[derive(ToSchema)]
pub struct PerSiteSecret {
    /// For every site that is not listed.
    pub default: Option<String>,
    /// By site.
    pub sites: BTreeMap<String, Option<String>>,
}

/// A switch for every site, and the sites that differ. May be written as the bare value.
#[derive(ToSchema)]
pub struct PerSiteSwitch {
    /// For every site that is not listed.
    pub default: bool,
    /// By site.
    pub sites: BTreeMap<String, bool>,
}

/// Which events are wanted: entities and names together (none: all but the hub's own), of which all conditions hold.
#[derive(ToSchema)]
pub struct EventChoice {
    /// All events of these entities.
    #[schema(example = json!(["order"]))]
    pub entities: Vec<String>,
    /// Single event names.
    #[schema(example = json!(["return.processed"]))]
    pub names: Vec<String>,
    /// All have to hold; at most 20.
    pub r#where: Vec<Clause>,
}

/// A condition, or a list of which one has to hold.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Clause {
    /// One of these has to hold.
    Any {
        /// The list; not nested again.
        any: Vec<Condition>,
    },
    /// This has to hold.
    One(Condition),
}

/// One condition on an event.
#[derive(Serialize, ToSchema)]
pub struct Condition {
    /// `data.…`, `correlation.…` or one of the event's own fields.
    #[schema(example = "data.channel_type")]
    pub path: String,
    /// How to compare.
    pub op: Op,
    /// What to compare with.
    #[schema(value_type = Option<Value>, required = false)]
    pub value: Option<Value>,
}

/// How a value is compared.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names say it
pub enum Op {
    Eq,
    Ne,
    In,
    NotIn,
    Gt,
    Gte,
    Lt,
    Lte,
    Exists,
    Prefix,
}

/// What an integration's settings say about one site. What is missing is as for every site.
#[derive(ToSchema)]
#[schema(example = json!({"availability": true, "authorization": "Bearer s3cret-t0ken"}))]
pub struct SiteValues {
    /// Whether the site's events are wanted.
    #[schema(required = false)]
    pub availability: bool,
    /// Value of the `Authorization` header; null: no such header. Written, shown masked.
    #[schema(value_type = Option<String>, required = false)]
    pub authorization: Option<String>,
}

/// How events are delivered.
#[derive(ToSchema)]
pub struct Delivery {
    /// What order is kept.
    #[schema(required = false)]
    pub ordering: Ordering,
    /// Most attempts under way at once.
    #[schema(minimum = 1, maximum = 512, default = 32, required = false)]
    pub max_in_flight: u32,
    /// Most attempts a second; null: no limit.
    #[schema(minimum = 1, maximum = 100_000)]
    pub rate_per_second: Option<u32>,
    /// Limit of one whole exchange.
    #[schema(minimum = 1, maximum = 60, default = 15, required = false)]
    pub timeout_seconds: u32,
    /// When failed attempts are repeated.
    #[schema(required = false)]
    pub retry: Retry,
    /// Older events are listed as expired instead of sent; null: any age.
    #[schema(minimum = 1)]
    pub max_age_seconds: Option<u64>,
    /// What happens when the last attempt failed.
    #[schema(required = false)]
    pub on_exhausted: OnExhausted,
    /// What happens to the later events of an entity when one was rejected.
    #[schema(required = false)]
    pub on_reject: OnReject,
    /// What answers of these statuses mean, in place of what they usually do; at most 50.
    #[schema(required = false, example = json!({"409": "delivered"}))]
    pub verdicts: BTreeMap<String, Ruling>,
}

/// What order is kept.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Ordering {
    /// An entity's next event starts after its predecessor's outcome is committed.
    Entity,
    /// None; most throughput.
    None,
}

/// What happens when an event's last attempt failed.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum OnExhausted {
    /// It is listed as rejected, the rest goes on.
    Reject,
    /// The integration stops, the event stays pending.
    Stop,
}

/// What happens to the later events of an entity when one was rejected.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum OnReject {
    /// They go on without it.
    Continue,
    /// They wait until it is retried or deleted, 30 days at most.
    HoldEntity,
}

/// What an answer is said to mean.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Ruling {
    /// The receiver has the event.
    Delivered,
    /// It will not have it.
    Reject,
    /// Try again.
    Retry,
    /// The integration stops, the event stays pending.
    Stop,
}

/// A preset or an own schedule.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Retry {
    /// A preset.
    Preset(RetryPreset),
    /// An own schedule.
    Custom {
        /// The wait before each attempt, in seconds; the first is before the first attempt.
        #[schema(example = json!([0, 5, 300]))]
        schedule_seconds: Vec<u32>,
    },
}

/// Presets of retries.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryPreset {
    /// Ten attempts over about three days.
    Standard,
    /// Three attempts within about 70 seconds.
    DataStream,
    /// Eleven attempts inside about 15 minutes.
    EventStream,
}

/// An integration as it is written. What is left out gets its default; read-only members of an integration that was
/// read may stand in it.
#[derive(ToSchema)]
#[schema(example = json!({
    "name": "ERP",
    "target": {"kind": "http", "url": "https://erp.example/hooks", "authorization": "Bearer s3cret-t0ken"},
    "events": {"entities": ["order"], "where": [{"path": "data.channel_type", "op": "eq", "value": "store"}]}
}))]
pub struct IntegrationWritten {
    /// 1 to 50 of a-z, 0-9 and -; made of the name when left out. Immutable.
    #[schema(required = false, pattern = "^[a-z0-9-]{1,50}$")]
    pub id: String,
    /// What people call it.
    #[schema(required = false, max_length = 200)]
    pub name: String,
    /// Free text.
    #[schema(required = false, max_length = 2_000)]
    pub description: String,
    /// How long it lives; immutable.
    #[schema(required = false)]
    pub r#type: LifeTime,
    /// Deliver what was accepted from here on; not in the future; immutable.
    #[schema(value_type = Option<String>, format = DateTime, required = false)]
    pub starts_at: Option<String>,
    /// How an event is written.
    #[schema(required = false)]
    pub format: Format,
    /// Where events go.
    pub target: Target,
    /// Whether a site's events are wanted.
    #[schema(required = false)]
    pub availability: PerSiteSwitch,
    /// Which events are wanted.
    #[schema(required = false)]
    pub events: EventChoice,
    /// How events are delivered.
    #[schema(required = false)]
    pub delivery: Delivery,
    /// Paths inside `data` that are removed before formatting.
    #[schema(required = false, example = json!(["customer.email"]))]
    pub redaction: Vec<String>,
    /// Keys that sign; one is made when none is given.
    #[schema(required = false)]
    pub signing: super::integration_view::SigningView,
}

/// An event as a source sends it.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"id": "pos-7-118", "name": "order.completed", "site": "175", "terminal": "2",
    "correlation": {"order_id": "o-118"}, "data": {"_id": "o-118", "total": 12.50}}))]
pub struct IncomingEvent {
    /// The idempotency id: the same id with the same content is kept once within 7 days.
    #[schema(pattern = "^[A-Za-z0-9_:-]{1,128}$")]
    pub id: Option<String>,
    /// `<entity>.<fact>` in lower case.
    pub name: String,
    /// The site's id.
    pub site: Option<String>,
    /// The terminal within the site.
    pub terminal: Option<String>,
    /// What it is about; taken from `data` when left out.
    pub entity_id: Option<String>,
    /// When it happened.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub occurred_at: Option<String>,
    /// The trading day it belongs to.
    #[schema(format = Date)]
    pub business_date: Option<String>,
    /// Ids of related things, such as `order_id` and `customer_id`.
    #[schema(value_type = Option<Object>)]
    pub correlation: Option<String>,
    /// The payload.
    #[schema(value_type = Object)]
    pub data: String,
}

/// One event, or an array of at most 1,000.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Incoming {
    /// One.
    One(IncomingEvent),
    /// Many.
    Many(Vec<IncomingEvent>),
}
