//! Two companies with one of everything, the first full of marks that nobody else may ever see.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::document::{Document, Operation};
use crate::support::{Api, Reply, SOON, Stage, eventually};

/// What everything of a company that is looked for starts with; then `-` and what it is.
pub const MARK: &str = "zq7a";
/// The same of the other company.
pub const OTHER_MARK: &str = "own7b";

/// Which id stands for a parameter, by the path up to it. A call below a new path `/v1/things/{id}` finds its id by
/// itself when `POST /v1/things` (201, with the `id`) or `PUT /v1/things/{id}` (201) makes one of the document's
/// example; everything else needs a line here or in [`BY_NAME`], and a thing made in [`Company::fill`].
const BY_PLACE: &[(&str, &str)] = &[
    ("/v1/companies/{id}", "company"),
    ("/v1/events/{id}", "event"),
    ("/v1/integrations/{id}", "lane"),
    ("/v1/jobs/{id}", "job"),
    ("/v1/keys/{id}", "key"),
    ("/v1/sites/{site}", "site"),
];
/// Calls about an integration that has another kind of target, which stands in for the usual one.
const BY_TARGET: &[(&str, &str)] = &[("/v1/integrations/{id}/feed", "feed"), ("/v1/integrations/{id}/inbox", "inbox")];
/// Which id stands for a parameter of a path or a query, or for a member of a body, by its name.
const BY_NAME: &[(&str, &str)] = &[
    ("event_id", "event"),
    ("site", "site"),
    ("sites", "site"),
    ("integration", "lane"),
    ("integrations", "lane"),
    ("entity_id", "entity"),
    ("domain_entity_id", "entity"),
    ("terminal", "terminal"),
    ("object", "object"),
    ("correlation", "correlation"),
];
/// What a parameter of a path may stand for by its name alone.
const IN_PATHS: [&str; 3] = ["event", "site", "lane"];
/// The form of events' ids, to know one in an example.
const EVENT_PREFIX: &str = "evt_";

/// A company with a site, an integration, an event that its receiver refused, and whatever else the document can make.
pub struct Company {
    /// Its external id.
    pub id: String,
    /// May do everything in it.
    pub api: Api,
    mark: &'static str,
    ids: BTreeMap<String, String>,
    /// Secrets and ids made by the hub, which carry no mark.
    pub hidden: Vec<String>,
}

impl Company {
    /// Makes and fills one.
    pub async fn make(stage: &Stage, operator: &Api, mark: &'static str, document: &Document) -> Self {
        let id = format!("{mark}-company");
        let rules = json!({"name": format!("{mark}-company-name")});
        operator.put(&format!("/v1/companies/{id}"), &rules).await.expect(201);
        let wish = json!({"name": format!("{mark}-key-name"), "scopes": ["all"]});
        let key = operator.in_company(&id).post("/v1/keys", &wish).await.expect(201);
        let api = stage.api.with_key(key["key"].as_str().expect("the key"));
        let hidden = ["key", "id"].map(|member| key[member].as_str().expect("a text").to_owned()).to_vec();
        let ids = [("company", id.clone()), ("key", hidden[1].clone())];
        let ids = ids.map(|(kind, id)| (kind.to_owned(), id)).into();
        let mut company = Self { id, api, mark, ids, hidden };
        company.fill(stage).await;
        company.fill_from(document).await;
        company
    }

    fn marked(&self, what: &str) -> String {
        format!("{}-{what}", self.mark)
    }

    async fn fill(&mut self, stage: &Stage) {
        let (site, lane) = (self.marked("site"), self.marked("lane"));
        let about = json!({"name": self.marked("site-name"), "store_number": self.marked("site-number"),
            "aliases": [self.marked("site-alias")]});
        self.api.put(&format!("/v1/sites/{site}"), &about).await.expect(201);
        let answer = self.marked("lane-answer");
        stage.receiver.behave(&format!("/{lane}"), move |_| Reply::Body(400, answer.clone().into()));
        let settings = json!({"id": lane, "name": self.marked("lane-name"), "description": self.marked("lane-text"),
            "target": {"kind": "http", "url": stage.receiver.url(&format!("/{lane}")),
                "headers": {"x-token": self.marked("lane-header")}}});
        let made = self.api.post("/v1/integrations", &settings).await.expect(201);
        self.hidden.push(crate::support::signature::secret_in(&made));
        let sent = self.api.post("/v1/events", &self.event("first")).await.expect(202);
        let event = sent["accepted"][0]["id"].as_str().expect("an id").to_owned();
        let rejected = format!("/v1/integrations/{lane}/rejected");
        eventually("the event is rejected", SOON, async || self.api.all(&rejected).await.pop()).await;
        for verb in ["stop", "start"] {
            let because = json!({"reason": self.marked("lane-reason")});
            self.api.post(&format!("/v1/integrations/{lane}/{verb}"), &because).await.expect(200);
        }
        self.hidden.push(event.clone());
        let filter = json!({"filter": {"event_name": self.marked("job-event")}});
        let job = self.api.post(&format!("{rejected}/delete-all"), &filter).await.expect(202);
        let job = job["id"].as_str().expect("an id").to_owned();
        self.hidden.push(job.clone());
        let entity = self.marked("event-entity-first");
        let correlation = format!("order_id:{}", self.marked("event-correlation"));
        let object = format!("integration {lane}");
        let named = [("site", site), ("lane", lane), ("event", event), ("entity", entity), ("job", job)];
        let more = [("correlation", correlation), ("object", object), ("terminal", self.marked("event-terminal"))];
        self.ids.extend(named.into_iter().chain(more).map(|(kind, id)| (kind.to_owned(), id)));
    }

    /// An event that is marked wherever it can be.
    pub fn event(&self, which: &str) -> Value {
        let entity = self.marked(&format!("event-entity-{which}"));
        json!({"id": self.marked(&format!("event-id-{which}")), "name": "order.saved", "site": self.marked("site"),
            "terminal": self.marked("event-terminal"), "correlation": {"order_id": self.marked("event-correlation")},
            "data": {"_id": entity, "text": self.marked("event-payload")}})
    }

    /// Makes what the paths of the document speak of and this file does not know.
    async fn fill_from(&mut self, document: &Document) {
        for (_, kind) in BY_TARGET.iter().filter(|(path, _)| document.operation(&Method::GET, path).is_some()) {
            let id = self.marked(kind);
            let settings = json!({"id": id, "name": id, "target": {"kind": kind}, "starts_at": "2020-01-01T00:00:00Z"});
            self.api.post("/v1/integrations", &settings).await.expect(201);
            self.ids.insert((*kind).to_owned(), id);
        }
        let operations = document.operations();
        let mut places: Vec<&str> = operations.iter().flat_map(Operation::places).collect();
        places.sort_unstable();
        places.dedup();
        for place in places {
            if self.known(place).is_none() {
                let id = self.make_for(document, place).await;
                self.ids.insert(place.to_owned(), id);
            }
        }
    }

    async fn make_for(&mut self, document: &Document, place: &str) -> String {
        let parent = place.rsplit_once('/').expect("a path").0;
        let mark = self.marked("made");
        let under_any_id = document.operation(&Method::PUT, place).filter(Operation::makes_its_own);
        let making = document.operation(&Method::POST, parent).filter(|o| o.answers("201"));
        let Some(operation) = under_any_id.clone().or(making) else {
            panic!(
                "no id is known for {place}: add it to BY_PLACE or BY_NAME in walls/company.rs and make one in fill"
            );
        };
        let Some((kind, body)) = document.marked_body(&operation, &mark) else {
            panic!("{} takes no body, so nothing can be made for {place}: see walls/company.rs", operation.name());
        };
        let path = self.path(&operation.path, &mark);
        let headers = [("content-type", kind.as_str())];
        let answer = self.api.send(operation.method.clone(), &path, &headers, body.to_string().into()).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 201, "{} with {body} makes nothing for {place}: {}", operation.name(), answer.text());
        match under_any_id {
            Some(_) => mark,
            None => answer.json()["id"].as_str().unwrap_or_else(|| panic!("{path} gives no id")).to_owned(),
        }
    }

    /// The id that stands for the last parameter of this path.
    pub fn known(&self, place: &str) -> Option<&str> {
        let by_place = BY_PLACE.iter().find(|(p, _)| *p == place).map(|(_, kind)| *kind);
        let name = place.rsplit_once('{').map_or(place, |(_, name)| name.trim_end_matches('}'));
        let by_name = || kind_named(name).filter(|kind| IN_PATHS.contains(kind));
        let kind = by_place.or_else(|| self.ids.contains_key(place).then_some(place)).or_else(by_name);
        kind.and_then(|kind| self.ids.get(kind)).map(String::as_str)
    }

    /// As [`Company::known`], in the path of a whole call.
    pub fn known_in(&self, path: &str, place: &str) -> Option<&str> {
        let target = BY_TARGET.iter().find(|(p, _)| *p == path).filter(|_| place == "/v1/integrations/{id}");
        target.and_then(|(_, kind)| self.ids.get(*kind)).map(String::as_str).or_else(|| self.known(place))
    }

    /// A path with this company's ids, or `otherwise` where none is known.
    pub fn path(&self, template: &str, otherwise: &str) -> String {
        filled(template, |place| self.known_in(template, place).unwrap_or(otherwise).to_owned())
    }

    /// Every id that parameters stand for.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.values().map(String::as_str)
    }

    /// The id that a query parameter or a member of this name refers to.
    pub fn referred(&self, name: &str) -> Option<&str> {
        self.ids.get(kind_named(name)?).map(String::as_str)
    }

    /// Points an example's references to this company's things.
    pub fn aim(&self, body: &mut Value) {
        match body {
            Value::Object(members) => {
                for (name, value) in members {
                    let id =
                        self.referred(name).filter(|_| !["site", "entity_id", "terminal"].contains(&name.as_str()));
                    match (id, &mut *value) {
                        (Some(id), Value::String(text)) => id.clone_into(text),
                        (Some(id), Value::Array(items)) => *items = vec![id.into()],
                        _ => self.aim(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|v| self.aim(v)),
            Value::String(text) if text.starts_with(EVENT_PREFIX) => self.ids["event"].clone_into(text),
            _ => {}
        }
    }
}

/// A path whose parameters are replaced, each by what is given for the path up to it.
pub fn filled(template: &str, id: impl Fn(&str) -> String) -> String {
    let mut path = String::new();
    let mut from = 0;
    while let Some(open) = template[from..].find('{').map(|at| from + at) {
        let close = open + template[open..].find('}').expect("a closed brace");
        path.push_str(&template[from..open]);
        path.push_str(&id(&template[..=close]));
        from = close + 1;
    }
    path + &template[from..]
}

fn kind_named(name: &str) -> Option<&'static str> {
    BY_NAME.iter().find(|(n, _)| *n == name).map(|(_, kind)| *kind)
}
