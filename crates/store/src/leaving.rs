//! Deleting a company: it is hidden at once and removed in slices.

use async_trait::async_trait;
use tillstream_model::CompanyNo;

use crate::Result;
use crate::state::{Company, CompanyStatus, Rules};

/// A company that is hidden and not removed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// The company, as nobody else is shown it any more.
    pub company: Company,
    /// The job that removes it.
    pub job: String,
}

/// What one slice of a purge did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Rows that it removed.
    pub rows: u64,
    /// Nothing is left, as far as the call goes.
    pub done: bool,
}

/// Deleting a company.
///
/// - **Hidden at once.** When [`Leave::hide_company`] returns, the company is in no list, and nothing is written for it
///   any more by whatever node: what was under way was committed before and is removed, what comes later is refused
///   ([`crate::StoreError::gone`]) or, where many companies' figures come together, left out.
/// - **In slices.** A purge that was interrupted goes on with the next call.
/// - **For good.** Of a removed company its number is kept, which is never given out again; its external id is free.
#[async_trait]
pub trait Leave: Send + Sync {
    /// Hides a company; the job that removes it: this one, or the one that was named first. None: there is no such
    /// company.
    async fn hide_company(&self, company: CompanyNo, job: &str) -> Result<Option<String>>;

    /// The companies that are hidden and not removed yet, by number.
    async fn leaving(&self) -> Result<Vec<Leaving>>;

    /// Removes some of what a hidden company has, but for the company itself. At most 5 ms of the writer. An error for
    /// a company that is not hidden.
    async fn purge_state(&self, company: CompanyNo) -> Result<Purged>;

    /// Removes a hidden company itself, after everything else; fine when it is removed already.
    async fn remove_company(&self, company: CompanyNo) -> Result<()>;
}

/// A company as it is told of once it is hidden.
pub(crate) fn as_leaving(company: Company) -> Company {
    Company { rules: Rules { status: CompanyStatus::Deleting, ..company.rules }, ..company }
}
