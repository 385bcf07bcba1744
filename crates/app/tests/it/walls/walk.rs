//! Asking every call, and looking at what comes back.

use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::company::{Company, MARK, OTHER_MARK, filled};
use super::document::{Document, Operation};
use crate::support::{Answer, Api, Setup, Stage};

/// How long a stream is looked at.
const STREAM_PATIENCE: Duration = Duration::from_millis(400);
/// How many faults a failure tells of.
const FAULTS_SHOWN: usize = 40;
/// How much of an answer a fault shows, in characters.
const ANSWER_SHOWN: usize = 400;

/// A hub with two companies.
pub struct World {
    pub stage: Stage,
    pub operator: Api,
    pub document: Document,
    /// Whose walls are tried.
    pub inside: Company,
    /// Who tries.
    pub outside: Company,
}

/// One request of the walk with what came back.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Such as `GET /v1/events/evt_…`.
    pub request: String,
    body: String,
    pub answer: Answer,
}

/// A path, with its query, that points at what is inside.
#[derive(Clone, Debug)]
pub struct Way {
    pub path: String,
    /// Whether everything in it is; else some of it is the asker's own.
    pub is_inside: bool,
}

/// What is wrong, one line each; fails with all of them at the end.
#[derive(Default)]
pub struct Faults(Vec<String>);

impl World {
    /// Starts a hub and fills both companies.
    pub async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    /// A hub set up in another way.
    pub async fn with(setup: Setup) -> Self {
        let stage = Stage::with(setup).await;
        let operator = stage.operator();
        let document = Document::of(&stage.api).await;
        let inside = Company::make(&stage, &operator, MARK, &document).await;
        let outside = Company::make(&stage, &operator, OTHER_MARK, &document).await;
        Self { stage, operator, document, inside, outside }
    }

    /// Asks a call at a path with a body that fits, its references pointed inside.
    pub async fn ask(&self, api: &Api, operation: &Operation, path: &str) -> Asked {
        let (kind, body) = self.document.body(operation).unzip();
        let body = body.map(|mut b| {
            self.inside.aim(&mut b);
            b.to_string()
        });
        let body = body.unwrap_or_default();
        let headers: Vec<(&str, &str)> = kind.iter().map(|k| ("content-type", k.as_str())).collect();
        let asking = api.glimpse(operation.method.clone(), path, &headers, body.clone().into(), STREAM_PATIENCE);
        let answer = match operation.is_stream() {
            true => tokio::join!(asking, self.something_happens()).0,
            false => asking.await,
        };
        let request = format!("{} {path}", operation.method);
        let answer = answer.unwrap_or_else(|e| panic!("{request} is not answered: {e}"));
        Asked { request, body, answer }
    }

    /// An event inside while somebody looks at a stream.
    async fn something_happens(&self) {
        tokio::time::sleep(STREAM_PATIENCE / 4).await;
        let answer = self.inside.api.post("/v1/events", &self.inside.event("later")).await;
        assert!([202, 422].contains(&answer.status), "{}", answer.text());
    }

    /// The path and query of a call that points at what is inside, in each way that there is: all of it; and where the
    /// path names several things, each one inside with the others outside.
    pub fn ways_in(&self, operation: &Operation) -> Vec<Way> {
        let inside = self.inside.path(&operation.path, "");
        let places = operation.places();
        let mut ways = vec![Way { path: inside.clone() + &self.required_query(operation), is_inside: true }];
        let query = self.query(operation);
        if !query.is_empty() {
            ways.push(Way { path: inside + &query, is_inside: true });
        }
        if places.len() > 1 {
            ways.extend(places.iter().map(|one| {
                let path = filled(&operation.path, |place| {
                    let owner = if place == *one { &self.inside } else { &self.outside };
                    owner.known_in(&operation.path, place).unwrap_or_default().to_owned()
                });
                Way { path: path + &self.required_query(operation), is_inside: false }
            }));
        }
        ways
    }

    /// The query with every parameter that refers to something.
    fn query(&self, operation: &Operation) -> String {
        let known = operation.query().filter_map(|(name, _)| Some((name, self.inside.referred(name)?)));
        joined(known.map(|(name, id)| format!("{name}={}", encoded(id))))
    }

    /// The query with what a call needs.
    pub fn required_query(&self, operation: &Operation) -> String {
        let needed = operation.query().filter(|(_, needed)| *needed);
        joined(needed.map(|(name, _)| format!("{name}={}", encoded(self.inside.referred(name).unwrap_or("1")))))
    }

    /// The same path with ids that nobody has.
    pub fn nobodys(&self, path: &str) -> String {
        let mut path = path.to_owned();
        for id in self.inside.ids() {
            path = path.replace(&encoded(id), &encoded(&nobodys(id)));
        }
        path
    }

    /// Notes whatever of the inside is in an answer and was not in the request. `seen` are marks that may be.
    pub fn check_leaks(&self, asked: &Asked, seen: &[&str], faults: &mut Faults) {
        for leak in self.leaks(asked, seen) {
            faults.add(asked, &format!("shows {leak}"));
        }
    }

    fn leaks(&self, asked: &Asked, seen: &[&str]) -> Vec<String> {
        let text = asked.text();
        let hidden = self.inside.hidden.iter().filter(|h| text.contains(h.as_str())).cloned();
        let mut found: Vec<String> = marks_in(&text).into_iter().chain(hidden).collect();
        let said = format!("{} {}", asked.request, asked.body).replace("%3A", ":").replace("%20", " ");
        found.retain(|mark| !said.contains(mark.as_str()) && !seen.iter().any(|s| mark.starts_with(s)));
        found.sort();
        found.dedup();
        found
    }

    /// Everything that was ever done inside, as its audit tells.
    pub async fn audit(&self) -> Vec<Value> {
        self.inside.api.all("/v1/audit").await
    }

    /// Reads everything that a company's own key reads: every GET of the document.
    pub async fn read_all(&self, api: &Api) -> Vec<Asked> {
        let mut all = Vec::new();
        for operation in self.document.operations().iter().filter(|o| o.method == Method::GET) {
            let path = self.inside.path(&operation.path, "") + &self.required_query(operation);
            all.push(self.ask(api, operation, &path).await);
        }
        all
    }
}

impl Asked {
    /// Everything that came back, headers too.
    pub fn text(&self) -> String {
        format!("{:?}\n{}", self.answer.headers, self.answer.text())
    }

    /// The status, and of a problem what it says, with this id left out of it.
    pub fn gist(&self, ids: impl Iterator<Item = String>) -> (u16, String) {
        let body: Value = serde_json::from_slice(&self.answer.body).unwrap_or_default();
        let mut text = match self.answer.status {
            400.. => format!("{} {} {}", body["type"], body["detail"], body["errors"]),
            _ => String::new(),
        };
        for id in ids {
            text = text.replace(&id, "…");
        }
        (self.answer.status, text)
    }

    /// What a problem says.
    pub fn detail(&self) -> String {
        let body: Value = serde_json::from_slice(&self.answer.body).unwrap_or_default();
        body["detail"].as_str().unwrap_or_default().to_owned()
    }
}

impl Faults {
    /// Notes that this is wrong with an answer.
    pub fn add(&mut self, asked: &Asked, what: &str) {
        let text: String = asked.answer.text().chars().take(ANSWER_SHOWN).collect();
        self.0.push(format!("{} {what}; answered {}: {text}", asked.request, asked.answer.status));
    }

    /// Notes anything else.
    pub fn note(&mut self, what: String) {
        self.0.push(what);
    }

    /// Fails if there is one.
    #[track_caller]
    pub fn assert_none(self) {
        let first = self.0.iter().take(FAULTS_SHOWN).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.0.is_empty(), "{} faults:\n{first}", self.0.len());
    }
}

/// Every mark in a text.
pub fn marks_in(text: &str) -> Vec<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let starts = text.match_indices(MARK).map(|(at, _)| &text[at..]);
    starts.map(|t| t.split(|c| !part(c)).next().unwrap_or_default().to_owned()).collect()
}

/// An id that nobody has and that looks like this one: its last letter or digit is another.
pub fn nobodys(id: &str) -> String {
    let (rest, last) = id.split_at(id.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = parts.collect();
    if all.is_empty() { String::new() } else { format!("?{}", all.join("&")) }
}

fn encoded(text: &str) -> String {
    text.replace(' ', "%20").replace(':', "%3A")
}
