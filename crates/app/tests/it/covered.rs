//! Every call of the API's document has a test of its own: one that names it, beside those that walk over all calls.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Tests that call whatever the document names; they count for nothing here.
const WALKS: [&str; 4] = ["walls", "openapi.rs", "schemathesis.rs", "covered.rs"];
/// How a test says which method it uses; longer words first.
const METHODS: [(&str, &str); 17] = [
    (".post_bytes(", "post"),
    (".try_post(", "post"),
    (".post(", "post"),
    (".put_if(", "put"),
    (".put(", "put"),
    (".patch_if(", "patch"),
    (".patch(", "patch"),
    (".delete_if(", "delete"),
    (".delete(", "delete"),
    (".get(", "get"),
    (".get_if(", "get"),
    (".all(", "get"),
    ("Method::GET", "get"),
    ("Method::POST", "post"),
    ("Method::PUT", "put"),
    ("Method::PATCH", "patch"),
    ("Method::DELETE", "delete"),
];

/// A path that a test names, and the methods it may be called with.
#[derive(Debug)]
struct Named {
    path: String,
    methods: Vec<&'static str>,
}

/// What the tests name.
#[derive(Debug, Default)]
struct Sources {
    paths: Vec<Named>,
    /// Every text in quotes: what a path's `{verb}` may stand for.
    words: BTreeSet<String>,
}

impl Sources {
    /// Adds every path in a source text. Its method is the one of its statement; of a path that is kept for later,
    /// every one that its function uses; of one that stands by itself, every one of the file.
    fn add(&mut self, text: &str) {
        self.words.extend(text.split('"').map(str::to_owned));
        let starts = text.match_indices("\"/").chain(text.match_indices("\"{"));
        for (at, _) in starts {
            let path = text[at + 1..].split(['"', '?']).next().unwrap_or_default().to_owned();
            if path.contains('/') {
                self.paths.push(Named { path, methods: methods_at(text, at) });
            }
        }
    }

    fn add_folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("the tests' folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if WALKS.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                self.add_folder(&path);
            } else if name.ends_with(".rs") {
                self.add(&fs::read_to_string(&path).expect("a source"));
            }
        }
    }

    fn cover(&self, method: &str, template: &str) -> bool {
        self.paths.iter().any(|n| n.methods.contains(&method) && self.fits(template, &n.path))
    }

    /// Whether a path with its parameters in braces stands for this one, which may have braces too, or begin with what
    /// was put together elsewhere.
    fn fits(&self, template: &str, path: &str) -> bool {
        let (mut wanted, mut named): (Vec<&str>, Vec<&str>) =
            (template.split('/').collect(), path.split('/').collect());
        if path.starts_with('{') {
            named.remove(0);
            wanted.drain(..wanted.len().saturating_sub(named.len()));
            if wanted.iter().all(|w| w.starts_with('{')) {
                return false;
            }
        }
        wanted.len() == named.len() && wanted.iter().zip(&named).all(|(wanted, named)| self.part_fits(wanted, named))
    }

    /// A parameter takes anything; a word only itself, or what a test fills in with it.
    fn part_fits(&self, wanted: &str, named: &str) -> bool {
        wanted == named || wanted.starts_with('{') || (named.starts_with('{') && self.words.contains(wanted))
    }
}

fn methods_at(text: &str, at: usize) -> Vec<&'static str> {
    let statement = &text[text[..at].rfind([';', '{', '}']).map_or(0, |start| start + 1)..at];
    let function = text[..at].rfind("fn ").map_or("", |start| {
        let end = text[at..].find("\n}").map_or(text.len(), |end| at + end);
        &text[start..end]
    });
    let found = [statement, function, text].map(methods_in);
    found.into_iter().find(|methods| !methods.is_empty()).unwrap_or_default()
}

fn methods_in(text: &str) -> Vec<&'static str> {
    METHODS.iter().filter(|(word, _)| text.contains(word)).map(|(_, method)| *method).collect()
}

#[test]
fn every_call_of_the_document_has_a_test_that_names_it() {
    let mut sources = Sources::default();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for folder in ["it", "cluster"] {
        sources.add_folder(&tests.join(folder));
    }
    let document = serde_json::to_value(tillstream_hub::api::document()).expect("JSON");
    let mut missing = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in ["get", "post", "put", "patch", "delete"].iter().filter(|m| item.get(**m).is_some()) {
            if !sources.cover(method, path) {
                missing.push(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    assert!(missing.is_empty(), "no black-box test in crates/app/tests/it names:\n{}", missing.join("\n"));
}

#[test]
fn a_call_that_no_test_names_is_missed() {
    const SOURCE: &str = r#"
const IT: &str = "/v1/things/it";
async fn sites(stage: &Stage) {
    stage.api.put("/v1/sites/175", &wish).await.expect(201);
    let path = format!("/v1/integrations/{id}/rejected/{event}");
    stage.api.get(&path).await;
    stage.api.delete(&path).await;
}
async fn switch(&self, verb: &str) {
    self.api.post(&format!("/v1/integrations/{id}/{verb}?x=1"), &Value::Null).await;
    self.api.post(&format!("{}/retry", path("stop")), &Value::Null).await
}
"#;
    let mut sources = Sources::default();
    sources.add(SOURCE);
    for (method, template, covered) in [
        ("put", "/v1/sites/{site}", true),
        ("get", "/v1/sites/{site}", false),
        ("put", "/v1/sites", false),
        ("put", "/v1/sites/{site}/terminals", false),
        ("get", "/v1/integrations/{id}/rejected/{event_id}", true),
        ("delete", "/v1/integrations/{id}/rejected/{event_id}", true),
        ("post", "/v1/integrations/{id}/rejected/{event_id}", false),
        ("post", "/v1/integrations/{id}/rejected/{event_id}/retry", true),
        ("post", "/v1/integrations/{id}/stop", true),
        ("post", "/v1/integrations/{id}/test", false),
        ("get", "/v1/integrations/{id}/stop", false),
        ("get", "/v1/things/{id}", true),
        ("patch", "/v1/things/{id}", false),
        ("post", "/v1/made-up", false),
    ] {
        assert_eq!(sources.cover(method, template), covered, "{method} {template}");
    }
}
