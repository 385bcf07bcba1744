//! The file of a backup: a tar archive, compressed with zstd.
//!
//! Its first entry `backup.json` says what it is, its last one `SHA256SUMS` has the sum of each of the others, as
//! `sha256sum -c` reads it. An archive that was cut off has no last entry and is none.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tillstream_model::Time;

use crate::engine::Cause;

/// The version of the archive's form.
const FORM: u32 = 1;
/// What it is.
const ABOUT: &str = "backup.json";
/// The sums.
const SUMS: &str = "SHA256SUMS";
/// Most bytes of an entry that is read into memory.
const MOST_TEXT_BYTES: u64 = 16 << 20;
/// Mode of files: payloads are nobody else's business.
const FILE_MODE: u32 = 0o600;
/// How much is compressed: the default, at which it is about as fast as a disk.
const LEVEL: i32 = 3;

/// What a backup is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The version of the archive's form.
    pub form: u32,
    /// The program that made it.
    pub made_by: String,
    /// The log's epoch.
    pub epoch: u32,
    /// Everything that was accepted before is in it.
    pub created_at: Time,
    /// The mark of the master key that its secrets are sealed with; the key itself is never in a backup.
    pub master_key: String,
}

impl About {
    /// Of this program.
    pub(crate) fn new(epoch: u32, created_at: Time, master_key: String) -> Self {
        Self { form: FORM, made_by: format!("tillstream {}", env!("CARGO_PKG_VERSION")), epoch, created_at, master_key }
    }
}

type Packed = zstd::Encoder<'static, BufWriter<NamedTempFile>>;

/// An archive that is being written. Dropped before its end it leaves nothing.
pub(crate) struct Writer {
    tar: tar::Builder<Packed>,
    path: PathBuf,
    made_at: u64,
    sums: String,
}

impl Writer {
    /// Begins one that will stand at this path, where nothing is yet.
    pub(crate) fn begin(path: &Path, about: &About) -> Result<Self, Cause> {
        if path.exists() {
            return Err(format!("{} exists already", path.display()).into());
        }
        let file = tempfile::Builder::new().prefix(".tillstream-backup-").tempfile_in(folder_of(path))?;
        let tar = tar::Builder::new(zstd::Encoder::new(BufWriter::new(file), LEVEL)?);
        let made_at = u64::try_from(about.created_at.millis() / 1_000).unwrap_or_default();
        let mut writer = Self { tar, path: path.to_owned(), made_at, sums: String::new() };
        writer.add_bytes(ABOUT, &serde_json::to_vec_pretty(about)?)?;
        Ok(writer)
    }

    /// Adds a file under a name.
    pub(crate) fn add_file(&mut self, name: &str, file: &Path) -> Result<(), Cause> {
        let file = File::open(file)?;
        let size = file.metadata()?.len();
        Ok(self.add(name, size, file)?)
    }

    /// Adds the sums; the archive stands at its path, and on disk, when this returns. How many bytes it has.
    pub(crate) fn finish(mut self) -> Result<u64, Cause> {
        let sums = std::mem::take(&mut self.sums);
        self.add_bytes(SUMS, sums.as_bytes())?;
        let file = self.tar.into_inner()?.finish()?.into_inner().map_err(|e| e.into_error())?;
        file.as_file().sync_all()?;
        let bytes = file.as_file().metadata()?.len();
        file.persist_noclobber(&self.path).map_err(|e| e.error)?;
        File::open(folder_of(&self.path))?.sync_all()?;
        Ok(bytes)
    }

    fn add_bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.add(name, bytes.len() as u64, bytes)
    }

    fn add(&mut self, name: &str, size: u64, content: impl Read) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(FILE_MODE);
        header.set_mtime(self.made_at);
        let mut content = Summed::new(content);
        self.tar.append_data(&mut header, name, &mut content)?;
        self.sums.push_str(&format!("{}  {name}\n", content.sum()));
        Ok(())
    }
}

/// Unpacks an archive into an empty folder and compares all sums. `check` looks at what it is before anything is
/// written, `told` hears how many bytes of the archive were read.
pub(crate) fn unpack(
    archive: &Path,
    into: &Path,
    check: impl FnOnce(&About) -> Result<(), Cause>,
    told: &mut dyn FnMut(u64),
) -> Result<About, Cause> {
    let read = Counted { inner: BufReader::new(File::open(archive)?), told };
    let mut tar = tar::Archive::new(zstd::Decoder::new(read)?);
    let mut entries = tar.entries().map_err(not_one)?;
    let mut sums = BTreeMap::new();
    let about = read_about(&mut entries, &mut sums)?;
    check(&about)?;
    for entry in entries {
        let mut entry = entry.map_err(cut_off)?;
        let name = name_of(&entry)?;
        if name == SUMS {
            return compare(&text(&mut entry)?, &sums).map(|()| about);
        }
        let sum = unpack_file(&mut entry, &into.join(&name)).map_err(|e| format!("unpack {name}: {e}"))?;
        sums.insert(name, sum);
    }
    Err("it is cut off: its sums are missing".into())
}

type Entries<'a, R> = tar::Entries<'a, R>;

fn read_about<R: Read>(entries: &mut Entries<'_, R>, sums: &mut BTreeMap<String, String>) -> Result<About, Cause> {
    let mut first = entries.next().ok_or("it is empty")?.map_err(not_one)?;
    if name_of(&first)? != ABOUT {
        return Err("it is no backup of Tillstream".into());
    }
    let text = text(&mut first)?;
    sums.insert(ABOUT.to_owned(), hex(&Sha256::digest(&text)));
    let about: About = serde_json::from_str(&text)?;
    if about.form != FORM {
        return Err(
            format!("it is of form {}, made by {}; this program knows {FORM}", about.form, about.made_by).into()
        );
    }
    Ok(about)
}

/// The name of a file, which leads into the folder and nowhere else.
fn name_of<R: Read>(entry: &tar::Entry<'_, R>) -> Result<String, Cause> {
    let path = entry.path()?;
    let plain = path.components().all(|c| matches!(c, Component::Normal(_)));
    match path.to_str() {
        Some(name) if plain && entry.header().entry_type().is_file() => Ok(name.to_owned()),
        _ => Err(format!("it has an entry that is none of a backup's: {}", path.display()).into()),
    }
}

fn text<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<String, Cause> {
    if entry.size() > MOST_TEXT_BYTES {
        return Err("an entry is longer than a backup has".into());
    }
    let mut text = String::new();
    entry.read_to_string(&mut text).map_err(cut_off)?;
    Ok(text)
}

fn unpack_file(content: impl Read, to: &Path) -> io::Result<String> {
    std::fs::create_dir_all(folder_of(to))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(to)?;
    let mut content = Summed::new(content);
    io::copy(&mut content, &mut file)?;
    file.sync_all()?;
    Ok(content.sum())
}

fn compare(written: &str, found: &BTreeMap<String, String>) -> Result<(), Cause> {
    let written: BTreeMap<&str, &str> =
        written.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect();
    let wrong = found.iter().find(|(name, sum)| written.get(name.as_str()) != Some(&sum.as_str()));
    match (wrong, written.keys().find(|name| !found.contains_key(**name))) {
        (Some((name, _)), _) => Err(format!("{name} is not what was backed up: its sum is another one").into()),
        (None, Some(name)) => Err(format!("{name} is missing in it").into()),
        (None, None) => Ok(()),
    }
}

fn not_one(error: io::Error) -> Cause {
    format!("it is no backup of Tillstream: {error}").into()
}

fn cut_off(error: io::Error) -> Cause {
    format!("it is cut off or broken: {error}").into()
}

/// The folder a path lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Sums up what is read.
struct Summed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Summed<R> {
    fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new() }
    }

    fn sum(self) -> String {
        hex(&self.hash.finalize())
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// Tells how much is read.
struct Counted<'a, R> {
    inner: R,
    told: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        (self.told)(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About::new(1, Time::from_millis(1_795_255_200_000), "id:check".into())
    }

    fn made(folder: &Path) -> PathBuf {
        let (content, path) = (folder.join("content"), folder.join("a.tar.zst"));
        std::fs::write(&content, vec![7; 100_000]).unwrap();
        let mut writer = Writer::begin(&path, &about()).unwrap();
        writer.add_file("state.db", &content).unwrap();
        writer.add_file("log/30d/2026-11-21.db", &content).unwrap();
        writer.finish().unwrap();
        path
    }

    fn unpacked(path: &Path, into: &Path) -> Result<About, String> {
        unpack(path, into, |_| Ok(()), &mut |_| ()).map_err(|e| e.to_string())
    }

    #[test]
    fn an_archive_reads_back_and_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (path, into) = (made(folder.path()), folder.path().join("into"));
        assert_eq!(unpacked(&path, &into).unwrap(), about());
        assert_eq!(std::fs::read(into.join("log/30d/2026-11-21.db")).unwrap(), vec![7; 100_000]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, FILE_MODE);
        assert!(Writer::begin(&path, &about()).map(drop).unwrap_err().to_string().contains("exists already"));
    }

    #[test]
    fn one_that_is_cut_off_is_refused_wherever_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let whole = std::fs::read(made(folder.path())).unwrap();
        for (n, end) in [0, 10, whole.len() / 2, whole.len() - 20].into_iter().enumerate() {
            let path = folder.path().join(format!("cut-{n}"));
            std::fs::write(&path, &whole[..end]).unwrap();
            assert!(unpacked(&path, &folder.path().join(format!("into-{n}"))).is_err(), "{end}");
        }
    }

    #[test]
    fn an_entry_that_was_changed_or_leads_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let archive = |name: &str, sum: &str, entry: &str| {
            let path = folder.path().join(name);
            let mut tar = tar::Builder::new(zstd::Encoder::new(File::create(&path).unwrap(), LEVEL).unwrap());
            let told = serde_json::to_vec(&about()).unwrap();
            let sums = format!("{}  {ABOUT}\n{sum}  {entry}\n", hex(&Sha256::digest(&told)));
            for (name, bytes) in [(ABOUT, &told[..]), (entry, b"x"), (SUMS, sums.as_bytes())] {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                // As somebody would who means harm: the library itself refuses such names.
                header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
                header.set_entry_type(tar::EntryType::Regular);
                header.set_cksum();
                tar.append(&header, bytes).unwrap();
            }
            tar.into_inner().unwrap().finish().unwrap();
            unpacked(&path, &folder.path().join(format!("{name}-into")))
        };
        let sum = hex(&Sha256::digest(b"x"));
        archive("fine", &sum, "state.db").unwrap();
        assert!(archive("changed", &sum.replace(&sum[..2], "zz"), "state.db").unwrap_err().contains("its sum"));
        for elsewhere in ["../state.db", "/tmp/state.db", "log/../../x"] {
            assert!(archive(&elsewhere.replace('/', "_"), &sum, elsewhere).unwrap_err().contains("none of a backup's"));
        }
    }
}
