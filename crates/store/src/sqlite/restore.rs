//! A folder made of a backup. Its log begins a new epoch, so that nothing another life hands out means something here.

use std::fs::File;
use std::path::Path;

use tillstream_model::{CompanyNo, Seq};

use super::conn::{make_folder, open_reader};
use super::log::backup::Source;
use super::pool::Cause;
use super::{Options, STATE, epochs};
use crate::archive::{About, folder_of, unpack};
use crate::transfer::Progress;
use crate::{Result, StoreError};

/// A folder that was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What it was made of.
    pub about: About,
    /// The epoch that begins with it.
    pub epoch: u32,
    /// Companies, each with the last position of its log in the backup.
    pub ends: Vec<(CompanyNo, Seq)>,
}

/// Makes a data folder of a backup. Blocks its thread.
///
/// # Errors
/// When there is something in the folder already, the file is no backup or a broken one, or it was made with another
/// master key; then nothing is left.
pub fn restore(from: &Path, folder: &Path, options: &Options, told: &mut dyn FnMut(Progress)) -> Result<Restored> {
    let made = restore_inner(from, folder, options, told);
    made.map_err(|cause| {
        StoreError::new(format!("restore {} to {}", from.display(), folder.display()), cause.to_string())
    })
}

fn restore_inner(
    from: &Path,
    folder: &Path,
    options: &Options,
    told: &mut dyn FnMut(Progress),
) -> Result<Restored, Cause> {
    refuse_full(folder)?;
    let total = from.metadata()?.len();
    make_folder(folder_of(folder))?;
    let staging = tempfile::Builder::new().prefix(".tillstream-restore-").tempdir_in(folder_of(folder))?;
    let mut done = 0;
    let mut read = |bytes: u64| {
        done += bytes;
        told(Progress { part: "restore".to_owned(), done, total });
    };
    let about = unpack(from, staging.path(), |about| check_key(about, options), &mut read)?;
    let (epoch, ends) = begin_epoch(staging.path(), options)?;
    sync_folders(staging.path())?;
    if folder.is_dir() {
        // It is empty; should something have come into it meanwhile, this fails.
        std::fs::remove_dir(folder)?;
    }
    std::fs::rename(staging.path(), folder)?;
    // It is no staging any more.
    let _ = staging.keep();
    File::open(folder_of(folder))?.sync_all()?;
    Ok(Restored { about, epoch, ends })
}

fn refuse_full(folder: &Path) -> Result<(), Cause> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err("there is something in it already; name an empty or a new folder".into()),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e.into()),
    }
}

fn check_key(about: &About, options: &Options) -> Result<(), Cause> {
    Ok(options.master_key.known(about.master_key.clone()).map(drop)?)
}

fn begin_epoch(folder: &Path, options: &Options) -> Result<(u32, Vec<(CompanyNo, Seq)>), Cause> {
    let file = folder.join(STATE);
    let companies = super::backup::companies(&open_reader(&file)?)?;
    let ends = Source::open(folder)?.heads(&companies)?;
    let state = rusqlite::Connection::open(&file)?;
    state.pragma_update(None, "synchronous", "full")?;
    let begun = epochs::of(&state)?.restored((options.clock)(), ends.clone());
    epochs::save(&state, &begun)?;
    Ok((begun.current(), ends.into_iter().collect()))
}

/// The names of all files are on disk when this returns.
fn sync_folders(folder: &Path) -> Result<(), Cause> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    Ok(File::open(folder)?.sync_all()?)
}
