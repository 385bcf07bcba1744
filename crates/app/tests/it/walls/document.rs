//! The calls of the API's document, and bodies that fit them.

use http::Method;
use serde_json::{Map, Value, json};

use crate::support::Api;

/// Bodies for calls whose example leads somewhere else than to the wall: nobody gives what they do not hold, for one.
const BODIES: &[(&str, &str)] = &[
    ("POST /v1/keys", r#"{"name": "k", "scopes": ["keys:write"]}"#),
    ("POST /v1/users", r#"{"email": "somebody@stores.example", "privileges": []}"#),
    (
        "POST /v1/notifications",
        r#"{"name": "Somebody", "channel": {"kind": "webhook", "url": "https://told.example/hook"}}"#,
    ),
];
/// Members that are free text, which is marked in what is made of examples.
const TEXTS: [&str; 6] = ["name", "description", "note", "reason", "title", "label"];
/// Deeper than any schema of the document; one that holds itself ends here.
const DEEPEST: usize = 12;

/// The document of a running hub.
pub struct Document(Value);

/// One call: a path with a method.
#[derive(Clone, Debug)]
pub struct Operation {
    pub method: Method,
    /// With its parameters in braces.
    pub path: String,
    described: Value,
}

/// A body and its content type.
pub type Body = (String, Value);

impl Document {
    /// Reads it, as anybody may.
    pub async fn of(api: &Api) -> Self {
        Self(api.without_key().get("/v1/openapi.json").await.expect(200))
    }

    /// Every call. Those that make a thing under any id come last, so that nothing is there before it was looked for;
    /// deletions come before them.
    pub fn operations(&self) -> Vec<Operation> {
        let mut all = Vec::new();
        for (path, item) in self.0["paths"].as_object().expect("paths") {
            for (verb, described) in item.as_object().expect("calls").iter().filter(|(v, _)| is_verb(v)) {
                let method = verb.to_uppercase().parse().expect("a method");
                all.push(Operation { method, path: path.clone(), described: described.clone() });
            }
        }
        all.sort_by_key(|o| (o.makes_its_own(), o.method == Method::DELETE, o.method != Method::GET));
        all
    }

    /// The call with this method and path.
    pub fn operation(&self, method: &Method, path: &str) -> Option<Operation> {
        self.operations().into_iter().find(|o| o.method == *method && o.path == path)
    }

    /// A body that fits the call, if it takes one.
    pub fn body(&self, operation: &Operation) -> Option<Body> {
        let content = operation.described["requestBody"]["content"].as_object()?;
        let (kind, media) = content.iter().find(|(kind, _)| kind.contains("json")).or_else(|| content.iter().next())?;
        let set = BODIES.iter().find(|(name, _)| *name == operation.name());
        let body = match set {
            Some((_, text)) => serde_json::from_str(text).expect("a body in BODIES"),
            None => media.get("example").cloned().unwrap_or_else(|| self.sample(&media["schema"], 0)),
        };
        Some((kind.clone(), body))
    }

    /// As [`Document::body`], its free texts and addresses marked with `mark`.
    pub fn marked_body(&self, operation: &Operation, mark: &str) -> Option<Body> {
        let (kind, mut body) = self.body(operation)?;
        let schema = &operation.described["requestBody"]["content"][&kind]["schema"];
        let mut known = Vec::new();
        self.members(schema, 0, &mut known);
        if let Value::Object(members) = &mut body {
            for text in TEXTS.iter().filter(|t| known.iter().any(|k| k == *t)) {
                members.insert((*text).to_owned(), mark.into());
            }
            if known.iter().any(|k| k == "email") {
                members.insert("email".to_owned(), format!("{mark}@stores.example").into());
            }
        }
        Some((kind, body))
    }

    /// The names of all members of a call's body, however deep.
    pub fn members_of_request(&self, operation: &Operation) -> Vec<String> {
        let mut names = Vec::new();
        for media in operation.described["requestBody"]["content"].as_object().into_iter().flat_map(|c| c.values()) {
            self.all_members(&media["schema"], 0, &mut names);
        }
        names
    }

    fn all_members(&self, schema: &Value, depth: usize, into: &mut Vec<String>) {
        let schema = self.resolved(schema);
        if depth > DEEPEST {
            return;
        }
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            into.push(name.clone());
            self.all_members(member, depth + 1, into);
        }
        let parts = ["allOf", "oneOf", "anyOf"].iter().filter_map(|k| schema[*k].as_array()).flatten();
        for part in parts.chain(["items", "additionalProperties"].iter().filter_map(|k| schema.get(*k))) {
            self.all_members(part, depth + 1, into);
        }
    }

    /// A value that fits a schema: its example, or the least that it asks for.
    fn sample(&self, schema: &Value, depth: usize) -> Value {
        let schema = self.resolved(schema);
        let known =
            [&schema["example"], &schema["examples"][0], &schema["default"], &schema["const"], &schema["enum"][0]];
        if let Some(value) = known.into_iter().find(|v| !v.is_null()) {
            return value.clone();
        }
        if depth > DEEPEST {
            return Value::Null;
        }
        for choice in ["oneOf", "anyOf"] {
            let choices = schema[choice].as_array().into_iter().flatten();
            if let Some(first) = choices.map(|c| self.resolved(c)).find(|c| c["type"] != "null") {
                return self.sample(first, depth + 1);
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return self.merged(parts, depth);
        }
        self.plain(schema, depth)
    }

    fn merged(&self, parts: &[Value], depth: usize) -> Value {
        let mut members = Map::new();
        for part in parts {
            if let Value::Object(of_part) = self.sample(part, depth + 1) {
                members.extend(of_part);
            }
        }
        Value::Object(members)
    }

    fn plain(&self, schema: &Value, depth: usize) -> Value {
        let kinds = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
        let kind = kinds.iter().filter_map(Value::as_str).find(|k| *k != "null").unwrap_or_default();
        match kind {
            "string" => text_of(schema),
            "integer" | "number" => schema["minimum"].as_i64().unwrap_or(1).into(),
            "boolean" => false.into(),
            "array" => {
                let least = schema["minItems"].as_u64().unwrap_or(0);
                (0..least).map(|_| self.sample(&schema["items"], depth + 1)).collect()
            }
            _ => self.object(schema, depth),
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let members = required.map(|name| (name.to_owned(), self.sample(&schema["properties"][name], depth + 1)));
        Value::Object(members.collect())
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let Some(reference) = schema["$ref"].as_str() else { return schema };
        self.0.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference} leads nowhere"))
    }

    /// Names of the members that a schema knows.
    fn members(&self, schema: &Value, depth: usize, into: &mut Vec<String>) {
        let schema = self.resolved(schema);
        into.extend(schema["properties"].as_object().into_iter().flat_map(|p| p.keys().cloned()));
        if depth < DEEPEST {
            for part in ["allOf", "oneOf", "anyOf"].iter().filter_map(|k| schema[*k].as_array()).flatten() {
                self.members(part, depth + 1, into);
            }
        }
    }
}

impl Operation {
    /// Such as `GET /v1/events`.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether the document says that no key is needed.
    pub fn is_open(&self) -> bool {
        self.described["security"].as_array().is_some_and(|all| all.iter().any(|s| *s == json!({})))
    }

    /// Whether it makes a thing under the id that the caller chooses.
    pub fn makes_its_own(&self) -> bool {
        self.method == Method::PUT && self.answers("201")
    }

    /// Whether the document names this status.
    pub fn answers(&self, status: &str) -> bool {
        self.described["responses"].get(status).is_some()
    }

    /// Whether its answer goes on without end.
    pub fn is_stream(&self) -> bool {
        self.described["responses"]["200"]["content"].get("text/event-stream").is_some()
    }

    /// For each parameter of its path: the path up to it, such as `/v1/sites/{site}`.
    pub fn places(&self) -> Vec<&str> {
        self.path.match_indices('}').map(|(end, _)| &self.path[..=end]).collect()
    }

    /// The names of its query parameters, and whether it needs them.
    pub fn query(&self) -> impl Iterator<Item = (&str, bool)> {
        let all = self.described["parameters"].as_array().into_iter().flatten();
        all.filter(|p| p["in"] == "query").filter_map(|p| Some((p["name"].as_str()?, p["required"] == true)))
    }
}

fn is_verb(text: &str) -> bool {
    ["get", "post", "put", "patch", "delete"].contains(&text)
}

fn text_of(schema: &Value) -> Value {
    let least = usize::try_from(schema["minLength"].as_u64().unwrap_or(1)).unwrap_or(1);
    match schema["format"].as_str() {
        Some("date-time") => "2026-11-21T10:00:00Z".into(),
        Some("date") => "2026-11-21".into(),
        Some("uri") => "https://erp.example/hooks".into(),
        Some("email") => "somebody@stores.example".into(),
        _ => "x".repeat(least.max(1)).into(),
    }
}
