//! Every kind of secret is given to a hub that logs all it can, and then looked for in all that it stores, logs and
//! answers.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::backup::Stolen;
use super::given;
use super::needles::Needles;
use crate::support::hub::MASTER_KEY;
use crate::support::signature::secret_in;
use crate::support::{Answer, SOON, Setup, Stage, command, run};
use crate::walls::document::Document;
use crate::walls::walk::World;

/// Words in the names of members that are secret.
const SECRET_WORDS: [&str; 6] = ["secret", "password", "token", "authorization", "private", "credential"];
/// Members of requests that sound secret: where the path begins, the member, and what is done about it here. A new one
/// has to be given to the hub in `given.rs`, or is none.
const KNOWN: &[(&str, &str, &str)] = &[
    ("/v1/integrations", "authorization", "given, as the default and for a site"),
    ("/v1/integrations", "secret", "given, and made by the hub"),
    ("/v1/integrations", "secrets", "where those are"),
    ("/v1/integrations", "client_secret", "given"),
    ("/v1/integrations", "token_url", "an address"),
    ("/v1/integrations/{id}/signing/reveal", "password", "given where people sign in"),
    ("/v1/notifications", "secret", "given"),
    ("/v1/sessions", "password", "given, right and wrong"),
    ("/v1/sessions", "token", "given, of both kinds"),
    ("/v1/session/password", "password", "given where people sign in"),
    ("/v1/session/password", "new_password", "handled as the one of a link"),
];

/// What was given, in all its forms.
struct Secrets {
    world: World,
    needles: Needles,
    /// The answers to the requests that gave them, which show none of them.
    answers: Vec<Answer>,
}

impl Secrets {
    async fn give() -> Self {
        let world = World::with(Setup { log_level: Some("debug"), ..Setup::default() }).await;
        let mut needles = Needles::default();
        needles.add("the master key", MASTER_KEY);
        needles.add("the first key", world.stage.hub.key());
        needles.add("a company's key", &world.inside.hidden[0]);
        add_signing(&mut needles, "the first signing secret", &world.inside.hidden[2]);
        let mut all = Self { world, needles, answers: Vec::new() };
        all.give_target().await;
        all.give_signing().await;
        all.give_wrong().await;
        given::to_targets(&all.world, &mut all.needles).await;
        given::to_contacts(&all.world, &mut all.needles).await;
        given::to_people(&all.world, &mut all.needles).await;
        all
    }

    fn lane(&self) -> String {
        self.world.inside.path("/v1/integrations/{id}", "")
    }

    fn made_up(&mut self, name: &str) -> String {
        let secret = format!("s3cr3t {} ~ /+?= 0123456789", name.replace(' ', "-"));
        self.needles.add(name, &secret);
        secret
    }

    async fn give_target(&mut self) {
        let header = self.made_up("a header");
        let (default, of_site) = (self.made_up("the authorization"), self.made_up("a site's authorization"));
        let target = json!({"authorization": {"default": default, "sites": {"zq7a-site": of_site}},
            "headers": {"x-token": header}});
        let answer = self.world.inside.api.patch(&self.lane(), &json!({"target": target})).await;
        answer.expect(200);
        self.answers.push(answer);
    }

    async fn give_signing(&mut self) {
        let path = format!("{}/signing/rotate", self.lane());
        let rotated = self.world.inside.api.post(&path, &json!({"overlap_seconds": 600})).await.expect(200);
        add_signing(&mut self.needles, "a rotated signing secret", &secret_in(&rotated));
        let own = format!("whsec_{}", STANDARD.encode(b"a signing secret of one's own 01"));
        add_signing(&mut self.needles, "a signing secret of one's own", &own);
        let settings = json!({"id": "vault", "name": "vault", "signing": {"secrets": [{"secret": own}]},
            "target": {"kind": "http", "url": self.world.stage.receiver.url("/vault")}});
        let made = self.world.inside.api.post("/v1/integrations", &settings).await;
        made.expect(201);
    }

    /// Secrets in the wrong place: what is wrong is told without them.
    async fn give_wrong(&mut self) {
        let mut wrong = Vec::new();
        for (name, place) in [
            ("headers in a wrong form", "headers"),
            ("an authorization in a wrong form", "authorization"),
            ("a site's authorization in a wrong form", "sites"),
            ("a signing secret in a wrong form", "signing"),
        ] {
            let secret = self.made_up(name);
            wrong.push(match place {
                "headers" => json!({"target": {"headers": secret}}),
                "authorization" => json!({"target": {"authorization": format!("{secret}\n")}}),
                "sites" => json!({"target": {"authorization": {"default": null, "sites": secret}}}),
                _ => json!({"signing": {"secrets": [format!("whsec_{secret}")]}}),
            });
        }
        let secret = self.made_up("a header that can not be sent");
        wrong.push(json!({"target": {"headers": {"x-token": format!("{secret}\r\nx: y")}}}));
        let secret = "s3cr3t-of-a-url";
        self.needles.add("a password in a URL", secret);
        wrong.push(json!({"target": {"url": format!("https://somebody:{secret}@erp.example/")}}));
        let secret = self.made_up("a key in a wrong form");
        self.world.stage.api.with_key(&secret).get("/v1/sites").await.expect(401);
        for patch in wrong {
            let answer = self.world.inside.api.patch(&self.lane(), &patch).await;
            assert_eq!(answer.status, 422, "{patch}: {}", answer.text());
            self.answers.push(answer);
        }
    }

    /// Everything that the API shows, to the company and to an operator.
    async fn in_answers(&self) -> Vec<String> {
        let mut found = Vec::new();
        let operator = self.world.operator.in_company(&self.world.inside.id);
        for api in [&self.world.inside.api, &operator] {
            for asked in self.world.read_all(api).await {
                let there = self.needles.in_bytes(asked.text().as_bytes());
                found.extend(there.iter().map(|name| format!("{name} in {}", asked.request)));
            }
        }
        for entry in self.world.audit().await {
            let there = self.needles.in_bytes(entry.to_string().as_bytes()).into_iter();
            found.extend(there.map(|name| format!("{name} in the audit: {entry}")));
        }
        for path in ["", "/attempts", "/versions", "/logs", "/rejected"] {
            let path = format!("/v1/integrations/vault{path}");
            let there = self.world.inside.api.get(&path).await.text();
            found.extend(self.needles.in_bytes(there.as_bytes()).iter().map(|name| format!("{name} in {path}")));
        }
        for answer in &self.answers {
            let there = self.needles.in_bytes(answer.text().as_bytes());
            found.extend(there.iter().map(|name| format!("{name} in the answer to a change: {}", answer.text())));
        }
        found
    }

    /// Everything that the command line prints.
    fn in_output(&self) -> Vec<String> {
        let mut found = Vec::new();
        let lane = "zq7a-lane";
        for arguments in [
            &["config"][..],
            &["config", "--json"],
            &["integrations", "list"],
            &["integrations", "list", "--json"],
            &["integrations", "show", lane],
            &["integrations", "show", lane, "--json"],
            &["integrations", "attempts", lane, "--json"],
            &["integrations", "rejected", lane, "--json"],
            &["integrations", "logs", lane, "--json"],
            &["keys", "list", "--data", "data", "--json"],
        ] {
            let mut command = command(&self.world.stage.hub, arguments);
            if arguments[0] == "config" {
                command.env_remove("TILLSTREAM_URL").env_remove("TILLSTREAM_KEY");
            } else {
                command.env("TILLSTREAM_KEY", &self.world.inside.hidden[0]);
            }
            let output = run(command, "");
            assert_eq!(output.code, 0, "{arguments:?}: {}", output.stderr);
            let said = output.stdout + &output.stderr;
            found.extend(self.needles.in_bytes(said.as_bytes()).iter().map(|name| format!("{name} in {arguments:?}")));
        }
        found
    }

    /// Everything that is stored and logged.
    async fn in_store(&self) -> Vec<String> {
        let mut found = self.needles.in_data(&self.world.stage.hub).await;
        // The first key stands on standard output, where it is shown once.
        self.needles.in_file(&self.world.stage.hub.folder().join("hub.log"), &mut found);
        found
    }
}

fn add_signing(needles: &mut Needles, name: &str, secret: &str) {
    let text = secret.strip_prefix("whsec_").expect("the prefix");
    needles.add(name, text);
    needles.add(&format!("the bytes of {name}"), STANDARD.decode(text).expect("base64"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_stored_logged_answered_or_printed_in_any_form() {
    let mut given = Secrets::give().await;
    let api = given.world.inside.api.clone();
    api.post("/v1/events", &given.world.inside.event("secret")).await.expect(202);
    let delivered = given.world.stage.receiver.wait_for("/vault", 1, SOON).await;
    assert!(!delivered[0].header("webhook-signature").is_empty());
    let delivered = given.world.stage.receiver.wait_for("/zq7a-lane", 2, SOON).await;
    assert!(given.needles.in_bytes(format!("{:?}", delivered[1].headers).as_bytes()).len() >= 2, "secrets are sent");
    let mut found = given.in_answers().await;
    found.extend(given.in_output());
    found.extend(given.in_store().await);
    let mut no_secret = Needles::default();
    no_secret.add("a payload", "zq7a-event-payload");
    assert!(!no_secret.in_data(&given.world.stage.hub).await.is_empty(), "what is stored is found");
    if let Some(stolen) = Stolen::of(&given.world.stage.hub) {
        stolen.assert_has(&no_secret);
        found.extend(stolen.search(&given.needles));
    }
    assert_eq!(given.world.stage.hub.stop(), Some(0));
    found.extend(given.in_store().await);
    assert!(found.is_empty(), "{}", found.join("\n"));
    let log = std::fs::read_to_string(given.world.stage.hub.folder().join("hub.log")).expect("the log");
    assert!(log.contains("DEBUG") && log.contains("tillstream_hub"), "the log is as full as it gets");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_member_that_sounds_secret_is_known_here() {
    let stage = Stage::new().await;
    let document = Document::of(&stage.api).await;
    let mut names = BTreeSet::new();
    for operation in document.operations() {
        let members = document.members_of_request(&operation).into_iter();
        names.extend(members.map(|member| (operation.path.clone(), member)));
    }
    assert!(
        names.contains(&("/v1/integrations".to_owned(), "authorization".to_owned())),
        "members are found: {names:?}"
    );
    names.retain(|(path, member)| sounds_secret(member) && !is_known(path, member));
    assert!(names.is_empty(), "{names:?}: give these to the hub in it/secrets/given.rs, and add them to KNOWN");
}

fn sounds_secret(name: &str) -> bool {
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

fn is_known(path: &str, member: &str) -> bool {
    KNOWN.iter().any(|(start, known, _)| path.starts_with(start) && *known == member)
}

#[test]
fn a_member_that_sounds_secret_and_is_not_known_is_told() {
    assert!(sounds_secret("client_secret") && !sounds_secret("name"));
    assert!(is_known("/v1/integrations/{id}", "authorization") && !is_known("/v1/made-up", "authorization"));
}
