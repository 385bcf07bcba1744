//! A hub in a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tempfile::TempDir;

use super::api::Api;
use super::database;
use super::wait::eventually;

/// The real thing.
pub const BINARY: &str = env!("CARGO_BIN_EXE_tillstream");
/// What seals secrets in tests.
pub const MASTER_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// A start on a busy machine, with a log to recover.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Lines of the hub's log that a failed test shows.
const LOG_LINES_SHOWN: usize = 120;

/// How a hub is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Networks that deliveries may go to.
    pub allow_networks: Option<&'static str>,
    /// Files may grow to this size, in bytes; writing beyond it fails as it does on a failing disk.
    pub largest_file_bytes: Option<u64>,
    /// Failures to put into the durable path, as `TILLSTREAM_FAULTS` has them.
    pub faults: Option<&'static str>,
    /// A database that is shared with other hubs, and this one's name among them.
    pub shared: Option<(String, String)>,
    /// Which lines its log has, when not the usual ones.
    pub log_level: Option<&'static str>,
    /// File with certificates that the database's may be signed with.
    pub database_ca: Option<PathBuf>,
    /// More settings, as variables.
    pub variables: Vec<(&'static str, String)>,
}

/// A running hub. Its folder goes away with it, unless the test fails.
pub struct Hub {
    /// Where it is; another port after each start.
    pub url: String,
    /// How it is set up from its next start on.
    pub setup: Setup,
    folder: Option<TempDir>,
    /// Its process.
    pub child: Child,
    starts: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            allow_networks: Some("127.0.0.0/8"),
            largest_file_bytes: None,
            faults: None,
            shared: None,
            log_level: None,
            database_ca: None,
            variables: Vec::new(),
        }
    }
}

impl Hub {
    /// Starts one on a fresh folder and waits until it is ready.
    pub async fn start(setup: Setup) -> Self {
        let folder = tempfile::Builder::new().prefix("tillstream-test-").tempdir().expect("a folder");
        if setup.shared.is_none() {
            database::make(folder.path()).await;
        }
        let child = spawn(&setup, folder.path(), 0);
        let mut hub = Self { url: String::new(), setup, folder: Some(folder), child, starts: 0 };
        assert!(hub.becomes_ready().await, "the hub ended while it started:\n{}", log_tail(hub.folder()));
        hub
    }

    /// Starts it again on the same data; it must have ended. False: it ended again before it was ready.
    #[must_use]
    pub async fn restart(&mut self) -> bool {
        self.starts += 1;
        self.child = spawn(&self.setup, self.folder(), self.starts);
        self.becomes_ready().await
    }

    /// Ends it without asking, as a crash does.
    pub fn kill(&mut self) {
        // It may have ended by itself already; then there is nothing to kill.
        let _ = self.child.kill();
        self.child.wait().expect("its end");
    }

    /// The key that the first start left for this machine.
    pub fn key(&self) -> String {
        let file = self.folder().join("data.admin-key");
        std::fs::read_to_string(file).expect("the first key").trim().to_owned()
    }

    /// Asks it to end and waits until it has; its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        terminate(self.child.id());
        self.child.wait().expect("its end").code()
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("its state")
    }

    /// The folder that has the data folder and the logs in it.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().expect("kept until the end").path()
    }

    async fn becomes_ready(&mut self) -> bool {
        let told = stdout_file(self.folder(), self.starts);
        eventually("the hub is ready, or it ended", START_DEADLINE, async || {
            if self.ended().is_some() {
                return Some(false);
            }
            self.url = url_in(&std::fs::read_to_string(&told).unwrap_or_default())?;
            let answer = Api::new(&self.url, None).send(Method::GET, "/readyz", &[], Bytes::new()).await;
            answer.is_ok_and(|a| a.status == 200).then_some(true)
        })
        .await
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            let path = folder.keep();
            eprintln!("the hub's folder is kept: {}\nits log:\n{}", path.display(), log_tail(&path));
        }
    }
}

/// A command of the binary in a clean environment, in this folder.
pub fn tillstream(folder: &Path) -> Command {
    clean(BINARY, folder)
}

/// A program in a clean environment, in this folder.
fn clean(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", folder);
    command.env("TILLSTREAM_MASTER_KEY", MASTER_KEY).current_dir(folder);
    if let Some(url) = database::of(folder) {
        // A restart takes up at once what the process before it left behind.
        command.env("TILLSTREAM_DATABASE", url).env("TILLSTREAM_NODE", "test");
    }
    command
}

/// Asks a process to end in good order.
pub fn terminate(pid: u32) {
    signal(pid, "TERM");
}

/// Sends a process a signal.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("kill runs");
    assert!(status.success(), "process {pid} cannot be sent {name}");
}

fn spawn(setup: &Setup, folder: &Path, start: u32) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("hub.log")).expect("a log file");
    let told = File::create(stdout_file(folder, start)).expect("a file for what it says");
    let mut command = setup.largest_file_bytes.map_or_else(|| tillstream(folder), |bytes| limited(folder, bytes));
    command.args(["serve", "--data", "data", "--listen", "127.0.0.1:0"]);
    if let Some(networks) = setup.allow_networks {
        command.args(["--allow-networks", networks]);
    }
    if let Some(faults) = setup.faults {
        command.env("TILLSTREAM_FAULTS", faults);
    }
    if let Some((database, node)) = &setup.shared {
        command.env("TILLSTREAM_DATABASE", database).env("TILLSTREAM_NODE", node);
    }
    if let Some(level) = setup.log_level {
        command.env("TILLSTREAM_LOG_LEVEL", level);
    }
    if let Some(file) = &setup.database_ca {
        command.env("TILLSTREAM_DATABASE_CA", file);
    }
    command.envs(setup.variables.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(told).stderr(log).spawn().expect("the hub starts")
}

/// A command of the binary whose files cannot grow beyond a size; the signal that tells so is ignored, so that
/// writing fails instead.
fn limited(folder: &Path, bytes: u64) -> Command {
    const BLOCK_BYTES: u64 = 512;
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", bytes.div_ceil(BLOCK_BYTES));
    let mut command = clean("sh", folder);
    command.args(["-c", &script, BINARY]);
    command
}

fn stdout_file(folder: &Path, start: u32) -> PathBuf {
    folder.join(format!("stdout-{start}.txt"))
}

fn url_in(text: &str) -> Option<String> {
    let start = text.find("http://127.0.0.1:")?;
    let url = text[start..].split(|c: char| c.is_whitespace() || c == ',').next()?;
    Some(url.trim_end_matches(['.', '/']).to_owned())
}

fn log_tail(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("hub.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}
