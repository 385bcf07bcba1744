//! `tillstream apply`, `export` and `companies`: a hub as a file says, and its companies, from the command line.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::cli::Output;
use crate::support::{SOON, Stage, command, order, run};

const TOKEN: &str = "Bearer s3cret-t0ken-of-erp";
const CONTACT_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Runs a command with a file that it names `hub.yaml`.
fn with_file(stage: &Stage, text: &str, arguments: &[&str]) -> Output {
    std::fs::write(stage.hub.folder().join("hub.yaml"), text).unwrap();
    let mut command = command(&stage.hub, arguments);
    command.env("ERP_TOKEN", TOKEN).env("CONTACT_SECRET", CONTACT_SECRET);
    run(command, "")
}

fn apply(stage: &Stage, text: &str, arguments: &[&str]) -> Output {
    with_file(stage, text, &[&["apply", "-f", "hub.yaml"], arguments].concat())
}

fn hub(stage: &Stage, name: &str) -> String {
    format!(
        "sites:\n  \"175\": {{name: {name}, aliases: [main], money: {{precision: 3}}}}\n  \"9\": {{}}\n\
         integrations:\n  erp:\n    name: ERP\n    target: {{kind: http, url: \"{}\", authorization: \"${{ERP_TOKEN}}\"}}\n    \
         availability: true\n    events: {{entities: [order]}}\n    delivery: {{max_in_flight: 8}}\n  \
         web:\n    target: {{kind: http, url: \"{}\"}}\n    status: stopped\n",
        stage.receiver.url("/erp"),
        stage.receiver.url("/web"),
    )
}

fn succeeded(output: &Output) -> &str {
    assert_eq!(output.code, 0, "{output:?}");
    &output.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_applied_once_and_a_second_time_there_is_nothing_to_do() {
    let stage = Stage::new().await;
    let text = hub(&stage, "Main");
    let planned = apply(&stage, &text, &["--dry-run"]);
    for line in ["+ site 175", "+ integration erp", "    target.authorization: …-erp", "    delivery.max_in_flight: 8"]
    {
        assert!(succeeded(&planned).lines().any(|l| l == line), "{line} is not in {}", planned.stdout);
    }
    assert!(stage.api.all("/v1/sites").await.is_empty() && stage.api.all("/v1/integrations").await.is_empty());
    let unasked = apply(&stage, &text, &[]);
    assert_eq!(unasked.code, 2, "{unasked:?}");
    assert!(unasked.stderr.contains("--yes"), "{unasked:?}");
    assert!(stage.api.all("/v1/sites").await.is_empty());

    let applied = apply(&stage, &text, &["--yes"]);
    assert!(succeeded(&applied).ends_with("4 changes applied\n"), "{applied:?}");
    assert_eq!(applied.stdout.matches("shown this once: whsec_").count(), 2, "{applied:?}");
    assert!(!format!("{planned:?}{applied:?}").contains("s3cret"), "a secret is never shown");
    assert_eq!(stage.shown("web").await["status"], "stopped");
    assert_eq!(succeeded(&apply(&stage, &text, &["--yes"])), "nothing to do\n");
    stage.emit(order("o", 1)).await;
    assert_eq!(stage.receiver.wait_for("/erp", 1, SOON).await[0].header("authorization"), TOKEN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_differs_is_changed_and_only_what_is_pruned_is_deleted() {
    let stage = Stage::new().await;
    succeeded(&apply(&stage, &hub(&stage, "Main"), &["--yes"]));
    let versions = stage.shown("erp").await["version"].clone();
    let renamed = apply(&stage, &hub(&stage, "Other"), &["--yes"]);
    assert_eq!(succeeded(&renamed), "~ site 175\n    name: Main -> Other\n1 change applied\n");
    let site = stage.api.get("/v1/sites/175").await.expect(200);
    assert_eq!(
        (&site["name"], &site["aliases"], &site["money"]["precision"]),
        (&json!("Other"), &json!(["main"]), &json!(3))
    );
    assert_eq!(stage.shown("erp").await["version"], versions, "what is the same is not saved again");
    let less = "integrations: {erp: {delivery: {max_in_flight: 9}}}";
    let changed = apply(&stage, less, &["--yes", "--json"]);
    let told: Value = serde_json::from_str(succeeded(&changed)).unwrap();
    let difference = json!({"path": "delivery.max_in_flight", "before": 8, "after": 9});
    let step = json!({"action": "change", "object": "integration erp", "differences": [difference]});
    assert_eq!(told, json!({"changes": [step], "applied": true, "secrets": {}}));
    assert_eq!(stage.api.all("/v1/integrations").await.len(), 2);
    let pruned = apply(&stage, less, &["--yes", "--prune"]);
    assert_eq!(succeeded(&pruned), "- integration web\n1 change applied\n");
    assert_eq!(stage.api.all("/v1/integrations").await.len(), 1);
    assert_eq!(stage.api.all("/v1/sites").await.len(), 2, "a section that is left out stays as it is");
    let again =
        apply(&stage, "integrations: {erp: {target: {authorization: \"${ERP_TOKEN}\"}}}", &["--yes", "--secrets"]);
    assert!(succeeded(&again).contains("target.authorization"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_hub_refuses_is_said_and_the_rest_can_be_applied_after_it() {
    let stage = Stage::new().await;
    let text = |zone: &str| format!("sites: {{a: {{name: A}}, b: {{timezone: {zone}}}, c: {{name: C}}}}");
    let refused = apply(&stage, &text("Mars"), &["--yes"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    for said in ["site b", "1 of 3", "time zone"] {
        assert!(refused.stderr.contains(said), "{said}: {refused:?}");
    }
    assert!(succeeded(&apply(&stage, &text("UTC"), &["--yes"])).ends_with("2 changes applied\n"));
    assert_eq!(stage.api.all("/v1/sites").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_wrong_ends_with_2_before_anything_is_done() {
    let stage = Stage::new().await;
    for (text, said) in [
        ("site: {}", "site"),
        ("sites: {a: {name: \"${NOT_THERE}\"}}", "NOT_THERE"),
        ("integrations: {erp: {target: {kind: http, url: \"http://x\", authorization: \"…1234\"}}}", "masked"),
        ("integrations: {erp: {id: web}}", "id"),
    ] {
        let output = apply(&stage, text, &["--yes"]);
        assert_eq!(output.code, 2, "{text}: {output:?}");
        assert!(output.stderr.contains(said) && output.stderr.trim_end().lines().count() == 1, "{text}: {output:?}");
    }
    let output = run(command(&stage.hub, &["apply", "-f", "none.yaml"]), "");
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("none.yaml"), "{output:?}");
    assert!(stage.api.all("/v1/integrations").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_makes_a_company_with_everything_in_it() {
    let stage = Stage::new().await;
    let operator = stage.operator();
    let key = operator.key().to_owned();
    let text = "company: {id: acme, name: Acme, retention_days: 90}\nsites: {\"1\": {name: One}}\n";
    let made = apply(&stage, text, &["--yes", "--key", &key]);
    assert!(succeeded(&made).contains("+ company acme") && made.stdout.contains("+ site 1"), "{made:?}");
    assert_eq!(operator.get("/v1/companies/acme").await.expect(200)["retention_days"], 90);
    assert_eq!(operator.in_company("acme").all("/v1/sites").await.len(), 1);
    assert!(stage.api.all("/v1/sites").await.is_empty());
    assert_eq!(succeeded(&apply(&stage, text, &["--yes", "--key", &key])), "nothing to do\n");
    let by_others = apply(&stage, "company: {id: default, name: Mine}", &["--yes"]);
    assert_eq!(by_others.code, 1, "{by_others:?}");
    assert!(by_others.stderr.contains("instance"), "{by_others:?}");
    let exported = run(command(&stage.hub, &["export", "--company", "acme", "--key", &key]), "");
    let same = apply(&stage, succeeded(&exported), &["--dry-run", "--key", &key]);
    assert_eq!(succeeded(&same), "nothing to do\n", "{exported:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_can_be_applied_again() {
    let stage = Stage::new().await;
    succeeded(&apply(&stage, &hub(&stage, "Main"), &["--yes"]));
    for format in ["yaml", "json"] {
        let exported = run(command(&stage.hub, &["export", "--format", format]), "");
        assert!(!succeeded(&exported).contains("s3cret"), "{exported:?}");
        assert_eq!(
            succeeded(&apply(&stage, &exported.stdout, &["--yes", "--prune"])),
            "nothing to do\n",
            "{exported:?}"
        );
    }
    stage.edit("erp", json!({"delivery": {"max_in_flight": 3}})).await;
    let exported = run(command(&stage.hub, &["export"]), "");
    stage.edit("erp", json!({"delivery": {"max_in_flight": 4}})).await;
    succeeded(&apply(&stage, succeeded(&exported), &["--yes"]));
    assert_eq!(stage.shown("erp").await["delivery"]["max_in_flight"], 3);
    stage.emit(order("o", 1)).await;
    assert_eq!(
        stage.receiver.wait_for("/erp", 1, SOON).await[0].header("authorization"),
        TOKEN,
        "a mask means unchanged"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_looks_after_companies_from_the_command_line() {
    let stage = Stage::new().await;
    let key = stage.operator().key().to_owned();
    let run_as = |arguments: &[&str]| {
        run(command(&stage.hub, &[&["companies"], arguments, &["--key", key.as_str()]].concat()), "")
    };
    assert_eq!(succeeded(&run_as(&["save", "acme", "--timezone", "Europe/Vienna"])), "acme is made\n");
    assert_eq!(succeeded(&run_as(&["save", "acme", "--name", "Acme", "--max-integrations", "7"])), "acme is saved\n");
    let shown: Value = serde_json::from_str(succeeded(&run_as(&["show", "acme", "--json"]))).unwrap();
    assert_eq!(
        (&shown["name"], &shown["timezone"], &shown["limits"]["integrations"]),
        (&json!("Acme"), &json!("Europe/Vienna"), &json!(7))
    );
    assert_eq!(succeeded(&run_as(&["suspend", "acme"])), "acme is suspended\n");
    let listed = run_as(&["list"]);
    assert!(succeeded(&listed).lines().any(|l| l.starts_with("acme ") && l.contains("suspended")), "{listed:?}");
    assert_eq!(succeeded(&run_as(&["resume", "acme"])), "acme is active\n");
    let all: Value = serde_json::from_str(succeeded(&run_as(&["list", "--json"]))).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2);
    let wrong = run_as(&["save", "acme", "--retention-days", "31"]);
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.stderr.contains("retention_days"), "{wrong:?}");
    let unknown = run_as(&["show", "none"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("none"), "{unknown:?}");
}

const PEOPLE: &str = "contacts:\n  Ops: {channel: {kind: webhook, url: \"http://ops.example/a\"}}\n  \
    Given: {channel: {kind: webhook, url: \"http://ops.example/b\", secret: \"${CONTACT_SECRET}\"}, on: [site.silent]}\n\
    keys:\n  till: {scopes: [\"events:write\"], sites: [\"175\"]}\n";

/// The secrets that a run told, by what they are of.
fn secrets(output: &Output) -> BTreeMap<String, String> {
    let lines = succeeded(output).lines().filter_map(|line| line.strip_prefix("secret of "));
    lines.filter_map(|line| line.split_once(", shown this once: ")).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_and_keys_are_made_once_and_what_the_hub_made_for_them_is_shown_once() {
    let stage = Stage::new().await;
    let made = apply(&stage, PEOPLE, &["--yes"]);
    let secrets = secrets(&made);
    assert_eq!(secrets.keys().collect::<Vec<_>>(), ["contact Ops", "key till"], "{made:?}");
    assert!(secrets["contact Ops"].starts_with("whsec_") && !made.stdout.contains(CONTACT_SECRET), "{made:?}");
    let till = stage.api.with_key(&secrets["key till"]);
    assert_eq!(till.get("/v1/session").await.expect(200)["kind"], "key");
    assert_eq!(succeeded(&apply(&stage, PEOPLE, &["--yes"])), "nothing to do\n");
    let contacts = stage.api.all("/v1/notifications").await;
    let given = contacts.iter().find(|c| c["name"] == "Given").unwrap();
    assert_eq!(given["channel"]["secret"], format!("…{}", &CONTACT_SECRET[CONTACT_SECRET.len() - 4..]));
    for format in ["yaml", "json"] {
        let exported = run(command(&stage.hub, &["export", "--format", format]), "");
        assert!(succeeded(&exported).contains("till") && !exported.stdout.contains("secret"), "{exported:?}");
        assert_eq!(succeeded(&apply(&stage, &exported.stdout, &["--yes", "--prune"])), "nothing to do\n");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_is_changed_in_place_and_a_key_never() {
    let stage = Stage::new().await;
    succeeded(&apply(&stage, PEOPLE, &["--yes"]));
    let before = stage.api.all("/v1/notifications").await;
    let moved = apply(&stage, &PEOPLE.replace("example/a", "example/c"), &["--yes"]);
    let line = "    channel.url: http://ops.example/a -> http://ops.example/c";
    assert_eq!(succeeded(&moved), format!("~ contact Ops\n{line}\n1 change applied\n"), "no new secret is made");
    let after = stage.api.all("/v1/notifications").await;
    let ids = |contacts: &[Value]| contacts.iter().map(|c| c["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&after));
    let wider = apply(&stage, "keys: {till: {scopes: [\"events:write\", \"sites:read\"]}}", &["--yes"]);
    assert_eq!(wider.code, 2, "{wider:?}");
    assert!(wider.stderr.contains("key till: scopes") && wider.stderr.contains("another name"), "{wider:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruning_keeps_the_key_that_asks() {
    let stage = Stage::new().await;
    succeeded(&apply(&stage, PEOPLE, &["--yes"]));
    let others = stage.api.all("/v1/keys").await.len() - 1;
    assert!(others > 0);
    let pruned = apply(&stage, "{contacts: {Ops: {}}, keys: {}}", &["--yes", "--prune"]);
    assert!(succeeded(&pruned).lines().any(|line| line == "- contact Given"), "{pruned:?}");
    assert_eq!(pruned.stdout.matches("- key ").count(), others, "{pruned:?}");
    let own = stage.api.get("/v1/session").await.expect(200);
    let left = stage.api.all("/v1/keys").await;
    assert_eq!((left.len(), &left[0]["id"]), (1, &own["id"]));
    assert_eq!(stage.api.all("/v1/notifications").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_may_not_see_keys_exports_the_rest_and_says_so() {
    let stage = Stage::new().await;
    let reader = stage.holder(json!({"name": "reader", "scopes": ["sites:read", "integrations:read"]})).await;
    let exported = run(command(&stage.hub, &["export", "--key", reader.key()]), "");
    assert!(!succeeded(&exported).contains("keys") && exported.stdout.contains("contacts"), "{exported:?}");
    assert!(exported.stderr.contains("the keys are left out"), "{exported:?}");
}
