//! TLS on the hub's own listener: the certificate from two files, read again when they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, bail};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at: they are small, and who changes them wants to see it.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Protocols over TLS, the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where the certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those it was signed with, in PEM.
    pub cert: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

/// The listener's TLS. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    files: TlsFiles,
    config: Arc<ServerConfig>,
    current: Arc<Current>,
    /// What was in the files when they were looked at last.
    seen: Arc<Mutex<[Vec<u8>; 2]>>,
}

/// The certificate that is shown now.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, has nothing of use in it, or they do not belong together.
    pub fn load(files: TlsFiles) -> anyhow::Result<Self> {
        let seen = [read(&files.cert)?, read(&files.key)?];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let current = Arc::new(Current(RwLock::new(Arc::new(certified(&files, &seen, &provider)?))));
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(current.clone());
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self { files, config: Arc::new(config), current, seen: Arc::new(Mutex::new(seen)) })
    }

    /// Makes connections encrypted ones.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.config.clone().into()
    }

    /// Looks at the files until `stop`. What cannot be used is said once, and the certificate before it stays.
    pub async fn watch(self, stop: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let mut wrong = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            let before = wrong;
            wrong = self.look_beside().await.err().map(|error| format!("{error:#}"));
            if let Some(error) = wrong.as_ref().filter(|_| wrong != before) {
                tracing::warn!(error, "the new certificate cannot be used; the one before it stays");
            }
        }
    }

    /// Looks where reading files holds up nothing else.
    async fn look_beside(&self) -> anyhow::Result<()> {
        let tls = self.clone();
        if tokio::task::spawn_blocking(move || tls.look()).await?? {
            tracing::info!(file = %self.files.cert.display(), "a new certificate is in use");
        }
        Ok(())
    }

    /// Takes what is in the files if it is something else; whether it was.
    fn look(&self) -> anyhow::Result<bool> {
        let found = [read(&self.files.cert)?, read(&self.files.key)?];
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == found {
            return Ok(false);
        }
        let new = certified(&self.files, &found, self.config.crypto_provider())?;
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        *seen = found;
        Ok(true)
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("read {}", file.display()))
}

fn certified(files: &TlsFiles, [cert, key]: &[Vec<u8>; 2], provider: &CryptoProvider) -> anyhow::Result<CertifiedKey> {
    let certs: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<_, _>>()
        .with_context(|| format!("read certificates from {}", files.cert.display()))?;
    if certs.is_empty() {
        bail!("there is no certificate in {}", files.cert.display());
    }
    let key =
        PrivateKeyDer::from_pem_slice(key).with_context(|| format!("there is no key in {}", files.key.display()))?;
    CertifiedKey::from_der(certs, key, provider).with_context(|| {
        format!("the key in {} is not the certificate's in {}", files.key.display(), files.cert.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a new certificate and its key; gives the certificate.
    fn write(files: &TlsFiles) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&files.cert, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    fn shown(tls: &Tls) -> Vec<u8> {
        tls.current.0.read().unwrap().cert[0].to_vec()
    }

    #[test]
    fn a_changed_certificate_is_taken_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let first = write(&files);
        let tls = Tls::load(files.clone()).unwrap();
        assert_eq!(shown(&tls), first);
        assert!(!tls.look().unwrap());
        let second = write(&files);
        assert!(tls.look().unwrap());
        assert_eq!(shown(&tls), second);
        let key = std::fs::read(&files.key).unwrap();
        let third = write(&files);
        let right_key = std::fs::read(&files.key).unwrap();
        std::fs::write(&files.key, key).unwrap();
        let refused = format!("{:#}", tls.look().unwrap_err());
        assert!(refused.contains("is not the certificate's"), "{refused}");
        assert_eq!(shown(&tls), second);
        std::fs::write(&files.key, right_key).unwrap();
        assert!(tls.look().unwrap());
        assert_eq!(shown(&tls), third);
        std::fs::remove_file(&files.cert).unwrap();
        assert!(tls.look().is_err());
        assert_eq!(shown(&tls), third);
    }

    #[test]
    fn files_without_what_is_needed_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let refusal = || Tls::load(files.clone()).map(|_| ()).map_err(|e| format!("{e:#}")).unwrap_err();
        assert!(refusal().contains("cert.pem"));
        write(&files);
        std::fs::write(&files.key, "nothing").unwrap();
        assert!(refusal().contains("no key in"));
        std::fs::write(&files.cert, "nothing").unwrap();
        assert!(refusal().contains("no certificate in"));
    }
}
