//! A PostgreSQL primary with a synchronous standby, to be killed and promoted at will.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use crate::wait::eventually;

/// The role and database that hubs use.
const NAME: &str = "tillstream";
const START: Duration = Duration::from_secs(30);

/// Two servers, one of them the primary.
pub struct Pair {
    folder: TempDir,
    programs: PathBuf,
    /// Whose the servers are when the tests run as root, which they refuse.
    user: Option<(u32, u32)>,
    pub ports: [u16; 2],
    /// Which one takes writes.
    pub primary: usize,
}

impl Pair {
    /// Makes both and waits until commits wait for the standby.
    pub async fn start() -> Self {
        let programs = std::env::var("TILLSTREAM_POSTGRES_BIN")
            .expect("TILLSTREAM_POSTGRES_BIN: run `make test`, or the test inside `tests/postgres/with`");
        let folder = tempfile::Builder::new().prefix("tillstream-pair-").tempdir().expect("a folder");
        let user = unprivileged();
        let pair = Self { folder, programs: programs.into(), user, ports: [free_port(), free_port()], primary: 0 };
        pair.give(pair.folder.path());
        let data = pair.data(0);
        pair.run("initdb", &["-D", &data, "-U", NAME, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        pair.launch(0);
        pair.sql("postgres", &format!("CREATE DATABASE {NAME}")).await;
        pair.attach_standby().await;
        pair
    }

    /// Both, as hubs are told them; through other ports when there is something in between.
    pub fn url(&self, ports: [u16; 2]) -> String {
        format!("postgres://{NAME}@127.0.0.1:{},127.0.0.1:{}/{NAME}", ports[0], ports[1])
    }

    /// Ends the primary without asking, makes the standby the primary, and the old one its standby.
    pub async fn fail_over(&mut self) {
        let (old, new) = (self.primary, 1 - self.primary);
        self.stop(old);
        let data = self.data(new);
        self.run("pg_ctl", &["-D", &data, "-w", "promote"]);
        self.primary = new;
        std::fs::remove_dir_all(self.data(old)).expect("the old primary's data");
        self.attach_standby().await;
    }

    /// Ends both without asking and starts them again.
    pub async fn restart(&self) {
        for server in [0, 1] {
            self.stop(server);
        }
        for server in [self.primary, 1 - self.primary] {
            self.launch(server);
        }
        self.replicated().await;
    }

    /// Ends the primary without asking, for a while.
    pub fn stop_primary(&self) {
        self.stop(self.primary);
    }

    /// Has the primary speak TLS too, with a certificate for 127.0.0.1; that certificate, as PEM.
    pub async fn encrypt(&self) -> String {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let data = PathBuf::from(self.data(self.primary));
        self.write(&data.join("server.crt"), &made.cert.pem());
        self.write(&data.join("server.key"), &made.signing_key.serialize_pem());
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(data.join("server.key"), mode).expect("its mode");
        self.sql("postgres", "ALTER SYSTEM SET ssl = on").await;
        self.sql("postgres", "SELECT pg_reload_conf()").await;
        made.cert.pem()
    }

    /// Connections of hubs to the primary, and how many of them are not encrypted.
    pub async fn connections(&self) -> (i64, i64) {
        let of_hubs = "FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'tillstream'";
        let count =
            async |more: &str| self.ask(NAME, &format!("SELECT count(*) {of_hubs} {more}")).await.expect("a count");
        (count("").await, count("AND NOT ssl").await)
    }

    /// Starts it again.
    pub fn start_primary(&self) {
        self.launch(self.primary);
    }

    /// Makes the other server from a copy of the primary, which goes on meanwhile. By hand, because the server of a
    /// package comes without `pg_basebackup`.
    async fn attach_standby(&self) {
        let standby = 1 - self.primary;
        let (from, to) = (PathBuf::from(self.data(self.primary)), PathBuf::from(self.data(standby)));
        let (client, _connection) = self.connect("postgres").await.expect("a connection");
        let version: i32 =
            client.query_one("SELECT current_setting('server_version_num')::int", &[]).await.expect("a version").get(0);
        let (start, stop) = match version {
            150_000.. => ("SELECT pg_backup_start('standby', true)", "SELECT labelfile FROM pg_backup_stop(false)"),
            _ => {
                ("SELECT pg_start_backup('standby', true, false)", "SELECT labelfile FROM pg_stop_backup(false, false)")
            }
        };
        client.batch_execute(start).await.expect("a backup begins");
        self.copy(&from, &to);
        let label: String = client.query_one(stop, &[]).await.expect("a backup ends").get(0);
        self.write(&to.join("backup_label"), &label);
        self.write(&to.join("standby.signal"), "");
        let settings = std::fs::read_to_string(to.join("postgresql.auto.conf")).expect("settings");
        let primary = self.ports[self.primary];
        let settings = format!("{settings}primary_conninfo = 'host=127.0.0.1 port={primary} user={NAME}'\n");
        self.write(&to.join("postgresql.auto.conf"), &settings);
        self.launch(standby);
        self.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        self.sql("postgres", "SELECT pg_reload_conf()").await;
        self.replicated().await;
    }

    /// Copies a server's data but for its process and its log of changes, which the copy is sent.
    fn copy(&self, from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("a folder");
        std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).expect("its mode");
        self.give(to);
        for entry in std::fs::read_dir(from).expect("a folder").flatten() {
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            if source.is_dir() {
                self.copy(&source, &target);
            } else if !from.ends_with("pg_wal") && entry.file_name() != "postmaster.pid" {
                match std::fs::copy(&source, &target) {
                    Ok(_) => self.give(&target),
                    // The server goes on and removes files; what is missing is in what the copy is sent.
                    Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::NotFound, "{}: {e}", source.display()),
                }
            }
        }
    }

    fn write(&self, file: &Path, text: &str) {
        std::fs::write(file, text).expect("a file");
        self.give(file);
    }

    /// Gives a file to the server's user.
    fn give(&self, path: &Path) {
        if let Some((uid, gid)) = self.user {
            std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("root may give files away");
        }
    }

    /// Waits until commits wait for the standby.
    async fn replicated(&self) {
        let ask = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        eventually("the standby is synchronous", START, async || {
            (self.ask("postgres", ask).await.ok()? == 1).then_some(())
        })
        .await;
    }

    async fn sql(&self, database: &str, sql: &str) {
        let (client, _connection) = self.connect(database).await.expect("a connection");
        client.batch_execute(sql).await.expect(sql);
    }

    async fn ask(&self, database: &str, sql: &str) -> Result<i64, tokio_postgres::Error> {
        let (client, _connection) = self.connect(database).await?;
        Ok(client.query_one(sql, &[]).await?.get(0))
    }

    async fn connect(&self, database: &str) -> Result<(tokio_postgres::Client, JoinSet<()>), tokio_postgres::Error> {
        let url = format!("postgres://{NAME}@127.0.0.1:{}/{database}", self.ports[self.primary]);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        let mut task = JoinSet::new();
        task.spawn(async move { drop(connection.await) });
        Ok((client, task))
    }

    fn launch(&self, server: usize) {
        let (data, log) = (self.data(server), self.folder.path().join(format!("log-{server}")));
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories= -c max_connections=150 -c shared_buffers=32MB",
            self.ports[server]
        );
        self.run("pg_ctl", &["-D", &data, "-l", &log.display().to_string(), "-w", "-o", &options, "start"]);
    }

    fn stop(&self, server: usize) {
        let data = self.data(server);
        self.run("pg_ctl", &["-D", &data, "-m", "immediate", "-w", "stop"]);
    }

    fn data(&self, server: usize) -> String {
        self.folder.path().join(format!("data-{server}")).display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.folder.path().join("output");
        let to = std::fs::File::create(&output).expect("a file");
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(to.try_clone().expect("a handle")).stderr(to);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        let status = command.status().expect("it runs");
        let said = || std::fs::read_to_string(&output).unwrap_or_default();
        assert!(status.success(), "{program} {arguments:?}: {status}\n{}", said());
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for server in [0, 1] {
            let data = self.data(server);
            if Path::new(&data).join("postmaster.pid").exists() && !std::thread::panicking() {
                self.stop(server);
            } else if let Ok(pid) = std::fs::read_to_string(Path::new(&data).join("postmaster.pid")) {
                let pid = pid.lines().next().unwrap_or_default().to_owned();
                let _ = Command::new("kill").args(["-QUIT", &pid]).status();
            }
        }
    }
}

/// Somebody who is not root, when this is root.
fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    let ids = |name: &str| {
        let line = users.lines().find(|l| l.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(|f| f.parse().ok());
        Some((fields.next()??, fields.next()??))
    };
    ids("postgres").or_else(|| ids("nobody"))
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
