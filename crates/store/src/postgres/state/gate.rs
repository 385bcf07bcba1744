//! Nothing is written for a company that is hidden.

use std::collections::BTreeSet;

use futures_util::future::try_join;
use tillstream_model::CompanyNo;
use tokio_postgres::types::Type;

use super::documents::owner;
use crate::Gone;
use crate::engine::Cause;
use crate::postgres::session::Session;

/// Those of some companies that are hidden; the others stay until the transaction ends: hiding one waits for what
/// shares its row here.
pub(super) async fn gone(session: &Session, companies: &[i32]) -> Result<BTreeSet<i32>, Cause> {
    let about = [(&companies as _, Type::INT4_ARRAY)];
    // Asked after the locks are there.
    let (_, gone) = try_join(
        session.execute("SELECT 1 FROM companies WHERE no = ANY ($1) ORDER BY no FOR KEY SHARE", &about),
        session.rows("SELECT company FROM gone WHERE company = ANY ($1)", &about),
    )
    .await?;
    Ok(gone.iter().map(|r| r.get(0)).collect())
}

/// Whether a company is hidden; the instance never is.
pub(super) async fn is_gone(session: &Session, of: Option<CompanyNo>) -> Result<bool, Cause> {
    match of {
        Some(_) => Ok(!gone(session, &[owner(of)]).await?.is_empty()),
        None => Ok(false),
    }
}

/// Refuses to write anything for a company that is hidden.
pub(super) async fn refuse_gone(session: &Session, of: Option<CompanyNo>) -> Result<(), Cause> {
    match is_gone(session, of).await? {
        true => Err(Gone.into()),
        false => Ok(()),
    }
}
