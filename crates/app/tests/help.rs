//! The help of every command is a promise to people and scripts: it changes only on purpose.

use std::process::Command;

/// Every command with help of its own.
const COMMANDS: [&[&str]; 48] = [
    &[],
    &["serve"],
    &["demo"],
    &["keys"],
    &["keys", "create"],
    &["keys", "list"],
    &["keys", "delete"],
    &["users"],
    &["users", "create"],
    &["users", "list"],
    &["users", "link"],
    &["integrations"],
    &["integrations", "list"],
    &["integrations", "show"],
    &["integrations", "create"],
    &["integrations", "start"],
    &["integrations", "stop"],
    &["integrations", "delete"],
    &["integrations", "logs"],
    &["integrations", "attempts"],
    &["integrations", "rejected"],
    &["replay"],
    &["jobs"],
    &["jobs", "list"],
    &["jobs", "show"],
    &["jobs", "wait"],
    &["jobs", "cancel"],
    &["why"],
    &["companies"],
    &["companies", "list"],
    &["companies", "show"],
    &["companies", "save"],
    &["companies", "suspend"],
    &["companies", "resume"],
    &["companies", "delete"],
    &["apply"],
    &["export"],
    &["emit"],
    &["listen"],
    &["backup"],
    &["restore"],
    &["migrate"],
    &["doctor"],
    &["master-key"],
    &["master-key", "create"],
    &["master-key", "rotate"],
    &["config"],
    &["completions"],
];

fn output(args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tillstream"))
        .args(args)
        .env_clear()
        .current_dir(std::env::temp_dir())
        .output()
        .expect("the binary runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(text).expect("the output is text"))
}

#[test]
fn the_help_of_every_command_is_as_agreed() {
    for command in COMMANDS {
        let name = if command.is_empty() { "tillstream".to_owned() } else { command.join("_").replace('-', "") };
        let (code, text) = output(&[command, &["--help"]].concat());
        insta::assert_snapshot!(name, format!("exit code {code}\n\n{}", text.trim_end()));
    }
}

#[test]
fn wrong_use_ends_with_2_and_says_what_is_meant() {
    for (args, said) in [
        (&["servee"][..], "serve"),
        (&["serve", "--listn", "x"], "--listen"),
        (&["config", "--listen", "0.0.0.0:80"], "--behind-proxy"),
        (&["keys", "create", "--name", "x", "--scope", "events:wirte"], "events:write"),
        (&["serve", "--database", "postgres://x"], "openssl rand -hex 32"),
        (&["backup", "--to", "x", "--config", "no-such.toml"], "no-such.toml"),
        (&["restore"], "--from"),
        (&["restore", "--mark-restored", "--from", "x"], "--from"),
        (&["restore", "--mark-restored"], "--database"),
    ] {
        let (code, text) = output(args);
        assert_eq!(code, 2, "{args:?}: {text}");
        assert!(text.contains(said), "{args:?}: {text}");
    }
}

#[test]
fn a_failure_ends_with_1_and_says_what_to_do_in_one_line() {
    for (args, said) in [
        (&["integrations", "list", "--url", "http://127.0.0.1:1", "--key", "tsk_x"][..], "tillstream serve"),
        (&["integrations", "list", "--data", "no-such-folder"], "TILLSTREAM_KEY"),
        (&["emit", "no-such-file.json", "--key", "tsk_x"], "no-such-file.json"),
        (&["emit", "--generate", "1", "--url", "http://127.0.0.1:1", "--key", "tsk_x"], "tillstream serve"),
        (&["keys", "list", "--data", "no-such-folder"], "--data"),
    ] {
        let (code, text) = output(args);
        assert_eq!(code, 1, "{args:?}: {text}");
        assert!(text.contains(said) && text.trim_end().lines().count() == 1, "{args:?}: {text}");
    }
}
