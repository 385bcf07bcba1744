//! The way to the database is encrypted when it is asked for, and only a certificate that is trusted will do.

use crate::hub::{Hub, Setup};
use crate::postgres::Pair;
use crate::wait::{SOON, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_spoken_to_over_tls_when_its_certificate_is_trusted() {
    let pair = Pair::start().await;
    let certificate = pair.encrypt().await;
    let url = format!("postgres://tillstream@127.0.0.1:{}/tillstream?sslmode=require", pair.ports[pair.primary]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, certificate).expect("a file");
    let keys = |more: &[&str]| {
        let mut command = crate::hub::tillstream(folder.path());
        let output = command.args(["keys", "list", "--database", &url]).args(more).output().expect("it runs");
        (output.status.success(), String::from_utf8(output.stderr).expect("text"))
    };
    // A reload takes a moment.
    eventually("the server speaks TLS", SOON, async || keys(&[]).1.contains("certificate").then_some(())).await;
    let (worked, said) = keys(&["--database-ca", &file.display().to_string()]);
    assert!(worked, "{said}");

    let setup = Setup { shared: Some((url, "tls".to_owned())), database_ca: Some(file), ..Setup::default() };
    let mut hub = Hub::start(setup).await;
    let (all, clear) = pair.connections().await;
    assert!(all > 0 && clear == 0, "{clear} of {all} in clear text");
    assert_eq!(hub.stop(), Some(0));
}
