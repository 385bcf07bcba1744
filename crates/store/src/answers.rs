//! Answers that are given again to a request that is sent again (`Idempotency-Key`).

use std::time::Duration;

use async_trait::async_trait;
use tillstream_model::{CompanyNo, Time};

use crate::Result;
use crate::seal::Owner;

/// How long an answer is given again.
pub const ANSWER_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a request counts as being answered; whoever asks later begins anew, because a process may have ended in
/// the middle.
pub const ANSWER_BUSY: Duration = Duration::from_secs(60);

/// A request that is about to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Whose; None: the instance's.
    pub of: Option<CompanyNo>,
    /// Names the request among those of the company.
    pub id: String,
    /// Tells the same request from another one under this name.
    pub fingerprint: [u8; 16],
    /// When.
    pub now: Time,
    /// Most names that are kept of a company.
    pub most: usize,
}

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Nothing: the caller is the one to answer it.
    New,
    /// Another one is answering it.
    Busy,
    /// Another request has this name.
    Other,
    /// So many names are kept of the company that there is no room for another one.
    Full,
    /// It was answered so.
    Answered(String),
}

/// Answers to requests with names.
///
/// - **Once.** Of several that begin at the same time one is told [`Begun::New`].
/// - **Sealed.** Answers hold secrets that are shown once.
/// - **Bounded.** Names go after [`ANSWER_KEPT`], and a company has a few thousand of them.
#[async_trait]
pub trait Answers: Send + Sync {
    /// Begins to answer a request, unless that was begun before.
    async fn begin_answer(&self, begin: Begin) -> Result<Begun>;

    /// Keeps the answer to what was begun.
    async fn keep_answer(&self, of: Option<CompanyNo>, id: &str, answer: &str) -> Result<()>;

    /// Forgets what was begun: the same request may be tried again.
    async fn forget_answer(&self, of: Option<CompanyNo>, id: &str) -> Result<()>;
}

/// What an answer is sealed for.
pub(crate) fn place(of: Option<CompanyNo>, id: &str) -> (Owner, String) {
    let company = of.unwrap_or(crate::engine::INSTANCE);
    (Owner { company, integration: tillstream_model::IntegrationNo(0) }, format!("answers/{id}"))
}

/// What is known of a request by what is stored under its name.
pub(crate) fn known(begin: &Begin, fingerprint: &[u8], answer: Option<String>) -> Begun {
    match answer {
        _ if fingerprint != begin.fingerprint => Begun::Other,
        None => Begun::Busy,
        Some(answer) => Begun::Answered(answer),
    }
}
