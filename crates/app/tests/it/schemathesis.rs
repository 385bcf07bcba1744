//! What the document allows, and what it does not, is tried at random by `schemathesis` (PyPI): no call fails inside,
//! and none gives an answer that the document does not know. `TILLSTREAM_SCHEMATHESIS_EXAMPLES` makes the runs longer.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::support::{Api, run};
use crate::walls::walk::World;

/// How many requests are made up for each call and phase, unless the environment says more.
const EXAMPLES: u32 = 3;
/// The longest that one answer may take, in seconds: longer than a wait that a call offers.
const REQUEST_TIMEOUT: &str = "45";
/// Each kind of wrong value once, values at random, and calls that follow each other. Examples of the document are tried
/// by the walls; as a phase of their own they bring down Python now and then.
const ALL_PHASES: &str = "coverage,fuzzing,stateful";
/// What must hold for every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_an_operator_sends_is_answered_as_the_document_says() {
    let world = World::new().await;
    try_all(&world, &world.operator.in_company(&world.outside.id), ALL_PHASES, "");
    try_all(&world, &world.operator, "fuzzing", "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_sent_about_things_that_there_are_is_answered_as_the_document_says() {
    let world = World::new().await;
    try_all(&world, &world.inside.api, ALL_PHASES, &things(&world));
}

/// Settings by which every path names things of the company, and nothing is deleted.
fn things(world: &World) -> String {
    let mut settings = String::new();
    for operation in world.document.operations() {
        let id = |place| Some((place, world.inside.known_in(&operation.path, place)?));
        let ids = operation.places().into_iter().filter_map(id);
        let given: Vec<String> = ids.map(|(place, id)| format!("\"path.{}\" = {id:?}", parameter(place))).collect();
        let path = &operation.path;
        let method = operation.method.as_str();
        let _ = writeln!(settings, "[[operations]]\ninclude-path = {path:?}\ninclude-method = {method:?}");
        let _ = match operation.method.as_str() {
            "DELETE" => writeln!(settings, "enabled = false"),
            _ => writeln!(settings, "parameters = {{ {} }}", given.join(", ")),
        };
    }
    settings
}

/// The name of a path's last parameter.
fn parameter(place: &str) -> &str {
    place.rsplit_once('{').map_or("", |(_, name)| name.trim_end_matches('}'))
}

fn try_all(world: &World, api: &Api, phases: &str, settings: &str) {
    let folder = world.stage.hub.folder();
    std::fs::write(folder.join("schemathesis.toml"), settings).expect("a file of settings");
    let examples = std::env::var("TILLSTREAM_SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_string());
    let mut command = prepared();
    command.current_dir(folder).args(["--no-color", "--config-file", "schemathesis.toml", "run"]);
    command.arg(format!("{}/v1/openapi.json", world.stage.hub.url));
    for (name, value) in api.own_headers() {
        command.args(["--header", &format!("{name}: {value}")]);
    }
    command.args(["--phases", phases, "--checks", CHECKS, "--max-examples", &examples]);
    command.args(["--seed", "1", "--warnings", "off", "--request-timeout", REQUEST_TIMEOUT]);
    for stream in world.document.operations().iter().filter(|o| o.is_stream()) {
        command.args(["--exclude-path", &stream.path]);
    }
    let output = run(command, "");
    assert_eq!(output.code, 0, "{}\n{}", output.stdout, output.stderr);
}

fn prepared() -> Command {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/.venv/bin/schemathesis");
    assert!(program.exists(), "{} is missing: run `make clients` first", program.display());
    Command::new(program)
}
