//! Which of the master keys seals.

use super::super::session::Session;
use crate::Sealer;
use crate::engine::Cause;

/// A sealer with the key that the database says seals now. It stays the one until the transaction ends: a rotation, which
/// changes it while nodes run, waits for what was begun under the key before it.
pub(super) async fn current(session: &Session, sealer: &Sealer) -> Result<Sealer, Cause> {
    let sql = "SELECT value FROM meta WHERE name = 'master_key' FOR SHARE";
    let found = session.row(sql, &[]).await?.ok_or("the master key's mark is gone")?;
    Ok(sealer.clone().sealing_with(found.get(0))?)
}
