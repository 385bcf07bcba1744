//! The plan: what has to be done so that the hub is as the file wants it.

use std::collections::BTreeMap;

use http::{HeaderValue, Method};
use serde::Serialize;
use serde_json::{Map, Value};

use super::called::Called;
use super::difference::{Difference, How};
use super::file::Wanted;
use super::noun::{Noun, of_company};
use crate::api_client::{Api, Tagged};
use crate::commands::companies;

/// Most things of a kind that are looked through for what is to be deleted.
const MOST: usize = 100_000;

/// A section of a file: things by their ids or names.
type Things = BTreeMap<String, Map<String, Value>>;

/// What is done to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed.
    Change,
    /// It is deleted.
    Delete,
}

/// One thing that is to be done.
#[derive(Debug, Serialize)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// To what, such as `site 175`.
    pub object: String,
    /// What is different afterwards.
    pub differences: Vec<Difference>,
    /// The calls that do it.
    #[serde(skip)]
    pub calls: Vec<Call>,
    /// Where the first answer has a secret that the hub made and shows only there (RFC 6901).
    #[serde(skip)]
    pub secret_at: Option<&'static str>,
}

impl Step {
    /// A step whose answers hold no secret.
    pub fn new(action: Action, object: String, differences: Vec<Difference>, calls: Vec<Call>) -> Self {
        Self { action, object, differences, calls, secret_at: None }
    }

    /// That the first answer has a secret there.
    pub fn with_secret_at(self, pointer: &'static str) -> Self {
        Self { secret_at: Some(pointer), ..self }
    }
}

/// A call of the API.
#[derive(Debug)]
pub struct Call {
    /// How.
    pub method: Method,
    /// Where, under `/v1`.
    pub path: String,
    /// With what.
    pub body: Option<Value>,
    /// Only if it is still what has this tag.
    pub tag: Option<HeaderValue>,
    /// Whether it names no company.
    pub outside: bool,
}

impl Call {
    /// A call in the company that is meant.
    pub fn new(method: Method, path: String, body: Option<Value>, tag: Option<HeaderValue>) -> Self {
        Self { method, path, body, tag, outside: false }
    }
}

/// How to plan.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What the file does not name in a section that it has is deleted.
    pub prune: bool,
    /// How to compare.
    pub how: How,
}

/// Everything that is to be done, in the order in which it is done.
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// Names no company: one that is to be made can't be named yet.
    outside: Api,
    inside: Api,
}

impl Plan {
    /// Looks at the hub and makes the plan.
    ///
    /// # Errors
    /// When the hub does not answer or refuses, or the file wants what can't be.
    pub async fn make(api: &Api, wanted: &Wanted, options: Options) -> anyhow::Result<Self> {
        let mut steps = Vec::new();
        let (mut inside, mut is_new) = (api.clone(), false);
        if let Some(company) = &wanted.company {
            let known = api.find(&companies::path(&company.id)).await?;
            is_new = known.is_none();
            steps.extend(of_company(&company.id, &company.settings, known, options.how));
            inside = api.in_company(&company.id);
        }
        let mut look = Look { api: &inside, nothing_there: is_new, options, steps, deletions: Vec::new() };
        look.at_all(wanted).await?;
        let Look { mut steps, deletions, .. } = look;
        steps.extend(deletions);
        Ok(Self { steps, outside: api.clone(), inside })
    }

    /// Does one step; what the hub answered.
    ///
    /// # Errors
    /// When the hub does not answer or refuses.
    pub async fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let mut answer = Value::Null;
        for (n, call) in step.calls.iter().enumerate() {
            let api = if call.outside { &self.outside } else { &self.inside };
            let said = api.change(call.method.clone(), &call.path, call.body.as_ref(), call.tag.as_ref()).await?;
            if n == 0 {
                answer = said;
            }
        }
        Ok(answer)
    }
}

/// Compares section after section with what is there.
struct Look<'a> {
    api: &'a Api,
    nothing_there: bool,
    options: Options,
    steps: Vec<Step>,
    deletions: Vec<Step>,
}

impl Look<'_> {
    async fn at_all(&mut self, wanted: &Wanted) -> anyhow::Result<()> {
        for (section, noun) in [(&wanted.sites, Noun::Site), (&wanted.integrations, Noun::Integration)] {
            if let Some(things) = section {
                self.at_ids(noun, things).await?;
            }
        }
        for (section, called) in [(&wanted.contacts, Called::Contact), (&wanted.keys, Called::Key)] {
            if let Some(things) = section {
                self.at_names(called, things).await?;
            }
        }
        Ok(())
    }

    async fn at_ids(&mut self, noun: Noun, things: &Things) -> anyhow::Result<()> {
        for (id, wanted) in things {
            let known = self.find(&noun.path(id)).await?;
            self.steps.extend(noun.step(id, wanted, known, self.options.how)?);
        }
        if !self.options.prune {
            return Ok(());
        }
        for thing in self.list(noun.list()).await? {
            let id = thing["id"].as_str().unwrap_or_default();
            // A site that nobody made comes back with its next event.
            if !things.contains_key(id) && thing["is_new"] != true {
                let tag = self.find(&noun.path(id)).await?.and_then(|t| t.tag);
                self.deletions.push(noun.deletion(id, tag));
            }
        }
        Ok(())
    }

    async fn at_names(&mut self, called: Called, things: &Things) -> anyhow::Result<()> {
        let mut others = self.list(called.list()).await?;
        for (name, wanted) in things {
            let known = called.find(name, &others)?.map(|n| others.remove(n));
            let known = match known {
                Some(known) => self.whole(called, known).await?,
                None => None,
            };
            self.steps.extend(called.step(name, wanted, known, self.options.how)?);
        }
        if self.options.prune {
            self.prune(called, others).await?;
        }
        Ok(())
    }

    /// The key that asks stays: nobody could go on with what is left.
    async fn prune(&mut self, called: Called, others: Vec<Value>) -> anyhow::Result<()> {
        let own = self.find("/session").await?.map_or(Value::Null, |own| own.value["id"].clone());
        for other in others.into_iter().filter(|other| other["id"] != own) {
            let tag = self.whole(called, other.clone()).await?.and_then(|whole| whole.tag);
            self.deletions.push(called.deletion(&other, tag));
        }
        Ok(())
    }

    /// As it is read alone, with its tag, if it can be; None when it has just been deleted.
    async fn whole(&self, called: Called, listed: Value) -> anyhow::Result<Option<Tagged>> {
        match called {
            Called::Contact => self.find(&called.path(&listed)).await,
            Called::Key => Ok(Some(Tagged { value: listed, tag: None })),
        }
    }

    async fn find(&self, path: &str) -> anyhow::Result<Option<Tagged>> {
        if self.nothing_there { Ok(None) } else { self.api.find(path).await }
    }

    async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        if self.nothing_there { Ok(Vec::new()) } else { self.api.list(path, MOST).await }
    }
}
