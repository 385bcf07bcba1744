//! `GET /v1/companies/{id}/usage`: how much a company used, by day.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tillstream_model::Time;
use tillstream_model::time::{DAY_MS, is_date};
use tillstream_store::usage::{Counts, Used};
use utoipa::{IntoParams, ToSchema};

use super::companies::reached;
use super::docs::{Denied, Missing, WrongQuery};
use super::extract::{Caller, Params, Place, wrong_param};
use super::paging::{Limit, Listing, Paging};
use crate::Hub;
use crate::problem::{Kind, Problem, Result};

/// Days that are told when nothing is said.
pub const DEFAULT_DAYS: i64 = 30;
/// Days that are kept, and so the most that are told.
pub const MAX_DAYS: i64 = 400;

/// Which days.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct UsageQuery {
    /// The first day, UTC; 30 days are told when it is left out.
    #[param(format = Date, example = "2026-11-01")]
    pub from: Option<String>,
    /// The last day, UTC; today when it is left out.
    #[param(format = Date, example = "2026-11-21")]
    pub to: Option<String>,
    /// Where to start: the `next` of the page before.
    pub after: Option<String>,
    /// Most days of the page.
    #[param(value_type = usize, minimum = 1, maximum = 500, default = 50)]
    pub limit: Limit,
}

/// What a company used on a day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageDay)]
pub struct UsageDayView {
    /// The day, UTC.
    #[schema(format = Date, example = "2026-11-21")]
    pub date: String,
    /// Events accepted, repeats not counted.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Deliveries given up, expired ones not counted.
    pub rejected: u64,
    /// Deliveries that became too old.
    pub expired: u64,
    /// Attempts, probes of an open circuit included.
    pub attempts: u64,
}

/// Show what a company used
///
/// By day, oldest first, without days on which nothing happened; kept 400 days. Counts of the last seconds of other
/// nodes may be missing. An application's key sees its own company, an operator's any; a key that is bound to sites or
/// integrations sees none.
#[utoipa::path(
    get, path = "/v1/companies/{id}/usage", tag = "companies",
    params(("id" = String, Path, description = "The company's external id"), UsageQuery),
    responses((status = 200, description = "A page", body = Listing<UsageDayView>), Denied, Missing, WrongQuery)
)]
pub async fn read_usage(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Params(query): Params<UsageQuery>,
) -> Result<Json<Listing<UsageDayView>>> {
    let company = reached(&hub, &caller, &id).await?;
    if caller.is_bound() {
        return Err(Problem::new(
            Kind::Forbidden,
            "the key is bound to sites or integrations, and these are figures of all",
        ));
    }
    let (from, to) = span(&query, hub.now().day())?;
    let days = days(hub.usage().of(company.no, from, to).await?);
    let paging = Paging { after: query.after, limit: query.limit };
    Ok(Json(Listing::of_all(days, &paging, |d| &d.date)))
}

fn span(query: &UsageQuery, today: i64) -> Result<(i64, i64)> {
    let day = |path: &str, text: &Option<String>, or: i64| match text {
        None => Ok(or),
        Some(text) if is_date(text) => format!("{text}T00:00:00Z").parse().map(Time::day).map_err(|_| no_date(path)),
        Some(_) => Err(no_date(path)),
    };
    let to = day("to", &query.to, today)?;
    let from = day("from", &query.from, to - DEFAULT_DAYS + 1)?;
    if from > to {
        return Err(wrong_param("from", "not after to"));
    }
    if to - from >= MAX_DAYS {
        return Err(wrong_param("from", &format!("at most {MAX_DAYS} days")));
    }
    Ok((from, to))
}

fn no_date(path: &str) -> Problem {
    wrong_param(path, "a date that exists, as YYYY-MM-DD")
}

fn days(used: Vec<Used>) -> Vec<UsageDayView> {
    let mut days: BTreeMap<i64, Counts> = BTreeMap::new();
    for u in used {
        days.entry(u.day).or_default().add(&u.counts);
    }
    days.into_iter().map(|(day, counts)| view(day, &counts)).collect()
}

fn view(day: i64, counts: &Counts) -> UsageDayView {
    let Counts { events, bytes, delivered, rejected, expired, attempts } = *counts;
    let date = Time::from_millis(day * DAY_MS).to_string().chars().take("2026-11-21".len()).collect();
    UsageDayView { date, events, bytes, delivered, rejected, expired, attempts }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(from: Option<&str>, to: Option<&str>) -> Option<(i64, i64)> {
        let query = UsageQuery { from: from.map(str::to_owned), to: to.map(str::to_owned), ..UsageQuery::default() };
        span(&query, 1_000).ok()
    }

    #[test]
    fn days_are_dates_and_at_most_400() {
        assert_eq!(asked(None, None), Some((971, 1_000)));
        assert_eq!(asked(Some("1970-01-02"), Some("1970-01-02")), Some((1, 1)));
        assert_eq!(asked(Some("1970-01-01"), Some("1971-02-04")), Some((0, 399)));
        for wrong in [
            ("1970-01-01", "1971-02-05"),
            ("1970-01-02", "1970-01-01"),
            ("x", "1970-01-01"),
            ("1970-02-30", "1971-01-01"),
        ] {
            assert_eq!(asked(Some(wrong.0), Some(wrong.1)), None, "{wrong:?}");
        }
    }
}
