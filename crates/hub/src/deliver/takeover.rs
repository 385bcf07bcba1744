//! Authorizations whose time has come: requests carry them from that very moment; here it is said, once, and saved.

use tillstream_model::integration::{Settings, Target};
use tillstream_model::{CompanyNo, IntegrationNo, Time};
use tillstream_store::StoreError;
use tillstream_store::state::SaveError;

use super::Deliver;
use super::commit::log_entry;

impl Deliver {
    /// Saves what has taken over as what counts, for lanes that run here.
    pub async fn take_over_authorizations(&self, now: Time) -> Result<(), StoreError> {
        for (company, routes) in self.0.routes.all() {
            for no in routes.lanes() {
                let due = routes.settings(no).filter(|settings| taken_over(settings, now).is_some());
                if let Some(known) = due {
                    self.take_over(company, no, &known.id, now).await?;
                }
            }
        }
        Ok(())
    }

    async fn take_over(&self, company: CompanyNo, no: IntegrationNo, id: &str, now: Time) -> Result<(), StoreError> {
        let held = self.hold(company, no).await?;
        let saved = self.0.stores.state.integration(company, id).await?.filter(|i| i.no == no);
        let Some((saved, settings)) = saved.and_then(|i| taken_over(&i.settings, now).map(|s| (i, s))) else {
            return Ok(());
        };
        let entry = log_entry("authorization_changed", "the next authorization has taken over".to_owned(), now);
        let done = self.0.stores.state.save_settings(company, settings, Some(saved.version), held.at, entry).await;
        match done {
            Ok(_) => self.changed(company, no, id).await,
            // Somebody else saved; the next round looks again.
            Err(SaveError::Changed(_) | SaveError::Unknown) => Ok(()),
            Err(SaveError::Store(e)) => Err(e),
        }
    }
}

/// Settings once their next authorization has taken over; None when that has not come.
fn taken_over(settings: &Settings, now: Time) -> Option<Settings> {
    let authorization = settings.target.http()?.authorization.taken_over(now)?;
    let mut settings = settings.clone();
    if let Target::Http(http) = &mut settings.target {
        http.authorization = authorization;
    }
    Some(settings)
}
