//! Running the binary's other commands.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::hub::{Hub, tillstream};

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A command for this hub, with the key of its first start.
pub fn command(hub: &Hub, arguments: &[&str]) -> Command {
    let mut command = tillstream(hub.folder());
    command.env("TILLSTREAM_URL", &hub.url).env("TILLSTREAM_KEY", hub.key()).args(arguments);
    command
}

/// Runs a command to its end with a text on standard input.
pub fn run(mut command: Command, stdin: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let mut input = child.stdin.take().expect("its standard input");
    // A command that does not read its input may end before it is written.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    let output = child.wait_with_output().expect("its output");
    let text = |bytes| String::from_utf8(bytes).expect("readable output");
    Output {
        code: output.status.code().expect("an exit code"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Runs a command that needs no hub, in an empty environment.
pub fn run_alone(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = tillstream(folder);
    command.args(arguments).envs(environment.iter().copied());
    run(command, "")
}
