//! A call's transaction.

use std::ops::Deref;
use std::time::Duration;

use crate::StoreError;
use crate::engine::{Cause, failed, tried};
use crate::postgres::session::{Broken, Pooled, Session, Sessions};

/// How long taking a transaction back may take; a server that just did not answer need not be waited for twice.
const ROLLBACK: Duration = Duration::from_secs(1);

/// Why a call changed nothing.
pub(super) enum Stop<E> {
    /// For a reason of its own, which the caller is told.
    Refused(E),
    /// The engine failed.
    Broken(Cause),
}

impl<E, C: Into<Cause>> From<C> for Stop<E> {
    fn from(cause: C) -> Self {
        Stop::Broken(cause.into())
    }
}

/// A transaction of one call. When the call is cancelled, its connection is closed and the transaction goes with it.
pub(super) struct Tx {
    session: Pooled,
    tried: &'static str,
}

impl Tx {
    /// Begins; `tried` says what for, should anything fail.
    pub(super) async fn begin(sessions: &Sessions, tried: &'static str) -> Result<Self, StoreError> {
        let begun = async {
            let mut session = sessions.get().await?;
            session.begin().await?;
            Ok(Self { session, tried })
        };
        begun.await.map_err(|cause| failed(tried, &cause))
    }

    /// Commits what was done, or takes it back.
    pub(super) async fn end<T, E: From<StoreError>>(mut self, done: Result<T, Stop<E>>) -> Result<T, E> {
        let broken = |cause: Cause| Err(failed(self.tried, &cause).into());
        match done {
            Ok(value) => match self.session.commit().await.map_err(Broken::cause) {
                Ok(()) => Ok(value),
                Err(cause) => broken(cause),
            },
            Err(stop) => {
                take_back(&mut self.session).await;
                match stop {
                    Stop::Refused(e) => Err(e),
                    Stop::Broken(cause) => broken(cause),
                }
            }
        }
    }

    /// Ends a transaction that only looked; unlike a commit this waits for no disk and no standby.
    pub(super) async fn leave<T>(mut self, seen: Result<T, Cause>) -> Result<T, StoreError> {
        take_back(&mut self.session).await;
        tried(self.tried, seen)
    }
}

impl Deref for Tx {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

/// When this fails or takes long, the connection is closed, and the transaction goes with it.
async fn take_back(session: &mut Session) {
    let _ = tokio::time::timeout(ROLLBACK, session.rollback()).await;
}
