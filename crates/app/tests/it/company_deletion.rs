//! Deleting a company: it is gone for everybody at once, a job removes what it has, and nobody else notices.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Api, Output, SOON, Stage, Stream, command, eventually, order, run};

/// Long enough for a purge of many events on a busy machine.
const PURGED: std::time::Duration = std::time::Duration::from_secs(180);
/// Events of a company whose deletion is looked at while it is under way, and how many it may need.
const MANY: u64 = 10_000;
const MOST: u64 = 320_000;
/// Most events of one request.
const AT_ONCE: u64 = 1_000;

/// A company with a key of its own, a site, an integration and events.
struct Company {
    id: &'static str,
    api: Api,
}

impl Company {
    async fn make(stage: &Stage, operator: &Api, id: &'static str) -> Self {
        operator.put(&format!("/v1/companies/{id}"), &json!({"name": id})).await.expect(201);
        let wish = json!({"name": "k", "scopes": ["all"]});
        let key = operator.in_company(id).post("/v1/keys", &wish).await.expect(201);
        let api = stage.api.with_key(key["key"].as_str().expect("the key"));
        api.put("/v1/sites/175", &json!({"name": id})).await.expect(201);
        let target = json!({"kind": "http", "url": stage.receiver.url(&format!("/{id}"))});
        api.post("/v1/integrations", &json!({"id": "it", "name": "it", "target": target})).await.expect(201);
        let company = Self { id, api };
        company.emit(3).await;
        stage.receiver.wait_for(&format!("/{id}"), 3, SOON).await;
        company
    }

    async fn emit(&self, events: u64) {
        for from in (0..events).step_by(AT_ONCE as usize) {
            let some: Vec<Value> = (from..events.min(from + AT_ONCE)).map(|n| repeatable(n, self.id)).collect();
            self.api.post("/v1/events", &json!(some)).await.expect(202);
        }
    }

    /// All that it is told of itself, but for when its site was last heard from, which a kill takes back.
    async fn told(&self) -> Vec<Value> {
        eventually("all is delivered", SOON, async || {
            (self.api.get("/v1/integrations/it").await.expect(200)["cursor"]["lag_events"] == 0).then_some(())
        })
        .await;
        let lists =
            ["/v1/events", "/v1/integrations/it/attempts", "/v1/sites", "/v1/integrations/it/versions", "/v1/audit"];
        let mut told = Vec::new();
        for list in lists {
            told.extend(self.api.all(list).await);
        }
        told.iter_mut().filter_map(Value::as_object_mut).for_each(|row| drop(row.remove("last_event_at")));
        told
    }

    fn path(&self) -> String {
        format!("/v1/companies/{}", self.id)
    }
}

fn repeatable(n: u64, company: &str) -> Value {
    let mut event = order(&format!("e-{}", n % 50), n);
    event["id"] = format!("{company}-{n}").into();
    event
}

async fn delete(operator: &Api, id: &str) -> Value {
    let answer = operator.delete(&format!("/v1/companies/{id}?confirm={id}")).await;
    let job = answer.expect(202);
    let location = answer.headers["location"].to_str().expect("a text").to_owned();
    assert_eq!(location, format!("/v1/jobs/{}", job["id"].as_str().expect("its id")));
    job
}

async fn ended(operator: &Api, job: &Value) -> Value {
    let path = format!("/v1/jobs/{}", job["id"].as_str().expect("its id"));
    eventually("the job has ended", PURGED, async || {
        Some(operator.get(&path).await.expect(200)).filter(|job| job["status"] != "running")
    })
    .await
}

fn slug(problem: &Value) -> &str {
    problem["type"].as_str().expect("a type").rsplit(':').next().expect("a slug")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_is_not_deleted_by_accident_and_only_by_an_operator() {
    let stage = Stage::new().await;
    let operator = stage.operator();
    let acme = Company::make(&stage, &operator, "acme").await;
    for query in ["", "?confirm=", "?confirm=acm", "?confirm=ACME", "?sure=acme"] {
        let problem = operator.delete(&format!("{}{query}", acme.path())).await.expect(400);
        assert_eq!(slug(&problem), "invalid-query", "{query}");
    }
    operator.delete("/v1/companies/none?confirm=none").await.expect(404);
    for key in [&stage.api, &acme.api] {
        let refused = key.delete("/v1/companies/acme?confirm=acme").await.expect(403);
        assert!(refused["detail"].as_str().unwrap().contains("instance"), "{refused}");
    }
    assert_eq!(operator.get("/v1/companies/acme").await.expect(200)["status"], "active");
    assert_eq!(acme.api.all("/v1/events").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_company_is_gone_at_once_and_the_others_stay_as_they_are() {
    let stage = Stage::new().await;
    let operator = stage.operator();
    let (acme, bond) = (Company::make(&stage, &operator, "acme").await, Company::make(&stage, &operator, "bond").await);
    let mut stream = Stream::open(&acme.api, "/v1/events/stream?after=1-0", &[]).await;
    stream.event(SOON).await;
    let before = bond.told().await;

    let job = delete(&operator, "acme").await;
    assert_eq!((&job["kind"], &job["integration"]), (&json!("delete_company"), &Value::Null));
    assert_eq!(job["filter"], json!({"company": "acme"}));
    for answer in [
        acme.api.get("/v1/events").await,
        acme.api.get("/v1/companies").await,
        acme.api.post("/v1/events", &order("late", 1)).await,
    ] {
        assert_eq!(slug(&answer.expect(401)), "unauthenticated");
    }
    operator.in_company("acme").get("/v1/events").await.expect(404);
    stream.rest(SOON).await;

    let done = ended(&operator, &job).await;
    assert_eq!((&done["status"], &done["failure"]), (&json!("done"), &Value::Null), "{done}");
    let progress = &done["progress"];
    assert!(progress["of"].as_u64() >= Some(3) && progress["looked_at"].as_u64() >= Some(3), "{progress}");
    assert!(progress["done"].as_u64() > progress["looked_at"].as_u64(), "more than events: {progress}");
    let listed: Vec<Value> = operator.all("/v1/companies").await.into_iter().map(|c| c["id"].clone()).collect();
    assert_eq!(listed, ["bond", "default"]);
    operator.get("/v1/companies/acme").await.expect(404);
    operator.delete("/v1/companies/acme?confirm=acme").await.expect(404);
    assert_eq!(operator.all("/v1/jobs").await, [done]);

    assert_eq!(bond.told().await, before, "another company's");
    bond.emit(4).await;
    stage.receiver.wait_for("/bond", 4, SOON).await;
    assert_eq!(stage.receiver.deliveries("/acme").len(), 3);
    let audit = operator.all("/v1/audit").await;
    let actions: Vec<&Value> = audit.iter().map(|e| &e["action"]).take(2).collect();
    assert_eq!(actions, ["company.purged", "company.deleted"], "{audit:?}");
    assert!(audit[1]["actor"].as_str().unwrap().starts_with("key key_") && audit[1]["object"] == "company acme");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_of_the_same_id_begins_with_nothing() {
    let stage = Stage::new().await;
    let operator = stage.operator();
    let acme = Company::make(&stage, &operator, "acme").await;
    ended(&operator, &delete(&operator, "acme").await).await;
    operator.put("/v1/companies/acme", &json!({"name": "New"})).await.expect(201);
    acme.api.get("/v1/events").await.expect(401);
    let new = operator.in_company("acme");
    for list in ["/v1/events", "/v1/integrations", "/v1/sites", "/v1/keys", "/v1/jobs", "/v1/users", "/v1/attempts"] {
        assert!(new.all(list).await.is_empty(), "{list}");
    }
    assert_eq!(new.all("/v1/audit").await.len(), 1, "that it was made");
    let first = new.post("/v1/events", &repeatable(0, "acme")).await.expect(202);
    let accepted = &first["accepted"][0];
    assert_eq!((&accepted["seq"], &accepted["duplicate"]), (&json!(1), &json!(false)), "the old one's ids are free");
}

/// Deletes a company and says what everybody is answered while that is under way, with the job as it was then. None:
/// it was over before it could be looked at.
async fn looked_at_while_under_way(operator: &Api) -> Option<Value> {
    let job = delete(operator, "acme").await;
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let shown = operator.get("/v1/companies/acme").await;
    let all = operator.all("/v1/companies").await;
    let again = operator.delete("/v1/companies/acme?confirm=acme").await;
    let refused = [
        operator.put("/v1/companies/acme", &json!({"name": "New"})).await,
        operator.post("/v1/companies/acme/resume", &Value::Null).await,
    ];
    let cancelled = operator.post(&format!("{path}/cancel"), &Value::Null).await;
    let job = eventually("something is removed", SOON, async || {
        let job = operator.get(&path).await.expect(200);
        (job["status"] != "running" || job["progress"]["looked_at"].as_u64() > Some(0)).then_some(job)
    })
    .await;
    if job["status"] != "running" {
        return None;
    }
    // While it is under way it is an operator's alone, and the id nobody's.
    let shown = shown.expect(200);
    assert_eq!((&shown["status"], &shown["deletion"]["job"]), (&json!("deleting"), &job["id"]), "{shown}");
    let statuses: Vec<Value> = all.into_iter().map(|c| c["status"].clone()).collect();
    assert_eq!(statuses, ["deleting", "active", "active"]);
    assert_eq!(again.expect(202)["id"], job["id"], "asked again");
    for problem in refused.map(|answer| answer.expect(409)) {
        assert_eq!(slug(&problem), "deleting");
        assert!(problem["detail"].as_str().unwrap().contains(job["id"].as_str().unwrap()), "{problem}");
    }
    assert_eq!(slug(&cancelled.expect(409)), "irrevocable");
    Some(job)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_was_interrupted_goes_on_and_cannot_be_stopped() {
    let mut stage = Stage::new().await;
    let operator = stage.operator();
    let bond = Company::make(&stage, &operator, "bond").await;
    let before = bond.told().await;
    let mut events = MANY;
    let (acme, job) = loop {
        let acme = Company::make(&stage, &operator, "acme").await;
        acme.api.post("/v1/integrations/it/stop", &json!({"reason": "enough"})).await.expect(200);
        acme.emit(events).await;
        match looked_at_while_under_way(&operator).await {
            Some(job) => break (acme, job),
            // On a machine that is so quick it needs more to do.
            None => events *= 2,
        }
        assert!(events <= MOST, "{events} events are removed in no time");
    };
    stage.crash().await;
    let (operator, bond) = (operator.at(&stage.hub.url), Company { api: bond.api.at(&stage.hub.url), ..bond });
    acme.api.at(&stage.hub.url).get("/v1/events").await.expect(401);
    let done = ended(&operator, &job).await;
    assert_eq!(done["status"], "done", "{done}");
    assert_eq!(bond.told().await, before, "another company's");
    let path = format!("/v1/jobs/{}/cancel", job["id"].as_str().unwrap());
    assert_eq!(operator.post(&path, &Value::Null).await.expect(200)["status"], "done", "it has ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_company_can_be_deleted_and_the_hub_starts_while_that_goes_on() {
    let mut stage = Stage::new().await;
    let operator = stage.operator();
    let default = Company { id: "default", api: stage.api.clone() };
    default.emit(MANY).await;
    let job = delete(&operator, "default").await;
    stage.crash().await;
    let operator = operator.at(&stage.hub.url);
    ended(&operator, &job).await;
    assert!(operator.all("/v1/companies").await.is_empty());
}

fn companies(stage: &Stage, operator: &Api, arguments: &[&str]) -> Output {
    let mut command = command(&stage.hub, &[&["companies"], arguments].concat());
    command.env("TILLSTREAM_KEY", operator.key());
    run(command, "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_asks_before_it_deletes_and_waits_until_all_is_removed() {
    let stage = Stage::new().await;
    let operator = stage.operator();
    for id in ["acme", "bond"] {
        Company::make(&stage, &operator, id).await;
    }
    for wrong in [&["delete", "acme"][..], &["delete", "acme", "--yes", "bond"]] {
        let output = companies(&stage, &operator, wrong);
        assert_eq!(output.code, 2, "{wrong:?}: {}", output.stderr);
    }
    assert_eq!(operator.all("/v1/companies").await.len(), 3);
    let output = companies(&stage, &operator, &["delete", "acme", "--yes", "acme"]);
    assert!(output.code == 0 && output.stdout.contains("done"), "{output:?}");
    assert_eq!(operator.all("/v1/companies").await.len(), 2);
    let output = companies(&stage, &operator, &["delete", "bond", "--yes", "bond", "--no-wait", "--json"]);
    assert_eq!(output.code, 0, "{output:?}");
    let job: Value = serde_json::from_str(&output.stdout).expect("a job");
    ended(&operator, &job).await;
    let output = companies(&stage, &operator, &["delete", "bond", "--yes", "bond"]);
    assert!(output.code == 1 && output.stderr.contains("bond"), "{output:?}");
    let output = run(command(&stage.hub, &["jobs", "list"]), "");
    assert_eq!(output.code, 0, "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_twice_at_once_gets_one_job() {
    let stage = Stage::new().await;
    let operator = stage.operator();
    let acme = Company::make(&stage, &operator, "acme").await;
    let path = format!("{}?confirm=acme", acme.path());
    let ask = || operator.send(Method::DELETE, &path, &[], bytes::Bytes::new());
    let answers = futures_util::future::join_all((0..8).map(|_| ask())).await;
    let jobs: std::collections::BTreeSet<String> = answers
        .into_iter()
        .map(|answer| answer.expect("an answer"))
        // The last ones may come after all is done.
        .filter(|answer| answer.status != 404)
        .map(|answer| answer.expect(202)["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    ended(&operator, &json!({"id": jobs.first().unwrap()})).await;
    assert_eq!(operator.all("/v1/jobs").await.len(), 1, "those that were for nothing are gone");
}
