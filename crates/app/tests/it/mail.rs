//! E-mails to contacts, taken by a real SMTP server: the `smtp-server` package of npm.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Setup, Stage, run};

/// Who logs in at the server, and how.
const LOGIN: [&str; 2] = ["till", "s3cr3t-smtp-password"];

/// A server in a process of its own.
struct SmtpServer {
    process: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
}

impl SmtpServer {
    fn start(arguments: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients");
        assert!(folder.join("node_modules/smtp-server").exists(), "it is missing: run `make clients` first");
        let mut command = Command::new("node");
        command.arg(folder.join("smtp.mjs")).args(arguments).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the server starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its standard output"));
        let mut port = String::new();
        lines.read_line(&mut port).expect("its port");
        Self { process, lines, port: port.trim().parse().expect("a port") }
    }

    /// The next mail. The hub has been told already that it was taken.
    fn mail(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a mail");
        serde_json::from_str(&line).expect("a mail as JSON")
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("TILLSTREAM_SMTP_HOST", "127.0.0.1".to_owned()),
            ("TILLSTREAM_SMTP_PORT", self.port.to_string()),
            ("TILLSTREAM_SMTP_FROM", "Tillstream <till@example.com>".to_owned()),
        ]
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn login() -> [(&'static str, String); 2] {
    [("TILLSTREAM_SMTP_USER", LOGIN[0].to_owned()), ("TILLSTREAM_SMTP_PASSWORD", LOGIN[1].to_owned())]
}

/// A certificate for this machine and its key, as files.
fn certificate() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    (folder, certificate, key)
}

async fn contact(stage: &Stage, to: Value) -> String {
    let wish = json!({"name": "On call", "channel": {"kind": "email", "to": to}});
    let made = stage.api.post("/v1/notifications", &wish).await.expect(201);
    format!("/v1/notifications/{}/test", made["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_get_an_e_mail_when_an_integration_stops() {
    let mut server = SmtpServer::start(&["none"]);
    let mut variables = server.settings();
    variables.push(("TILLSTREAM_SMTP_TLS", "none".to_owned()));
    let stage = Stage::with(Setup { variables, ..Setup::default() }).await;
    contact(&stage, json!(["oncall@example.com", "Chef <chef@example.com>"])).await;
    stage.integration("creme", json!({"name": "Crème"})).await;
    stage.switch("creme", "stop").await;
    let mail = server.mail();
    assert_eq!(mail["from"], "till@example.com");
    assert_eq!(mail["to"], json!(["oncall@example.com", "chef@example.com"]));
    let text = mail["text"].as_str().unwrap();
    for part in ["Subject: Tillstream (default): integration.stopped creme", "Message-ID: <ntf_", "On call"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_encrypted_before_anybody_logs_in() {
    let (_folder, certificate, key) = certificate();
    let texts = [certificate.to_str().unwrap(), key.to_str().unwrap(), LOGIN[0], LOGIN[1]];
    let mut server = SmtpServer::start(&texts);
    let mut variables = server.settings();
    variables.extend(login());
    variables.push(("TILLSTREAM_SMTP_CA", texts[0].to_owned()));
    let stage = Stage::with(Setup { variables, ..Setup::default() }).await;
    let test = contact(&stage, json!(["oncall@example.com"])).await;
    let tested = stage.api.post(&test, &Value::Null).await.expect(200);
    assert_eq!(tested, json!({"delivered": true, "detail": null}));
    let mail = server.mail();
    assert_eq!((&mail["user"], &mail["encrypted"]), (&json!(LOGIN[0]), &json!(true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_encrypt_is_not_told_the_password_and_refusals_are_shown() {
    let server = SmtpServer::start(&["none"]);
    let mut variables = server.settings();
    variables.extend(login());
    let mut stage = Stage::with(Setup { variables, ..Setup::default() }).await;
    let test = contact(&stage, json!(["oncall@example.com"])).await;
    let refused = contact(&stage, json!(["nobody@example.com"])).await;
    let tested = stage.api.post(&test, &Value::Null).await.expect(200);
    assert_eq!(tested["delivered"], false);
    stage.hub.setup.variables = server.settings();
    stage.hub.setup.variables.push(("TILLSTREAM_SMTP_TLS", "none".to_owned()));
    stage.bounce().await;
    let tested = stage.api.post(&refused, &Value::Null).await.expect(200);
    let detail = tested["detail"].as_str().unwrap();
    assert!(detail.contains("no such mailbox") && detail.contains(&server.port.to_string()), "{detail}");
    drop(server);
    let tested = stage.api.post(&test, &Value::Null).await.expect(200);
    assert!(tested["detail"].as_str().unwrap().contains("refused"), "{tested}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_of_the_server_is_shown_masked_only() {
    let stage = Stage::new().await;
    let mut command = crate::support::command(&stage.hub, &["config"]);
    command.envs([("TILLSTREAM_SMTP_HOST", "mail"), ("TILLSTREAM_SMTP_FROM", "till@example.com")]).envs(login());
    let output = run(command, "");
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stdout.contains("smtp_password") && output.stdout.contains("…word"), "{}", output.stdout);
    assert!(!output.stdout.contains(LOGIN[1]), "{}", output.stdout);
}
