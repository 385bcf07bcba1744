//! Cursor paging, the same for every list (`contracts/hub-api.md`, first paragraph).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tillstream_store::Page;
use utoipa::{IntoParams, ToSchema};

use super::extract::wrong_param;
use crate::problem::Result;

/// Items of a page when nothing is said.
pub const DEFAULT_LIMIT: usize = 50;
/// Most items of a page.
pub const MAX_LIMIT: usize = 500;

/// Between an engine's cursor and its check; needs no escape in a URL.
const CHECK_MARK: char = '~';
const CHECK_BYTES: usize = 4;

/// How many items a page may have: 1 to [`MAX_LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "usize")]
pub struct Limit(usize);

impl Limit {
    /// The number.
    pub fn get(self) -> usize {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Limit(DEFAULT_LIMIT)
    }
}

impl TryFrom<usize> for Limit {
    type Error = String;

    fn try_from(n: usize) -> std::result::Result<Self, String> {
        if (1..=MAX_LIMIT).contains(&n) { Ok(Limit(n)) } else { Err(format!("{n} is not between 1 and {MAX_LIMIT}")) }
    }
}

/// The parameters of a list without filters.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct Paging {
    /// Where to start: the `next` of the page before.
    pub after: Option<String>,
    /// Most items of the page.
    #[param(value_type = usize, minimum = 1, maximum = 500, default = 50)]
    pub limit: Limit,
}

/// These ids in the order of a list by id, without those up to `after`.
pub fn ids_after<'a>(ids: &'a [String], after: Option<&str>) -> Vec<&'a str> {
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).filter(|id| after.is_none_or(|a| *id > a)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listing<T> {
    /// The items; may be fewer than asked for although more follow.
    pub items: Vec<T>,
    /// Pass it as `after` to get what follows; null on the last page.
    #[schema(required = true)]
    pub next: Option<String>,
}

impl<T> Listing<T> {
    /// The page of a list that is in memory as a whole, in its order; `id` names its items, also to callers.
    pub fn of_all(all: Vec<T>, paging: &Paging, id: impl Fn(&T) -> &str) -> Self {
        let start = match &paging.after {
            Some(after) => all.iter().position(|item| id(item) == after).map_or(all.len(), |at| at + 1),
            None => 0,
        };
        Self::of_more(all.into_iter().skip(start), paging, id)
    }

    /// The page of a list of which one item more than the page may have was asked for.
    pub fn of_more(found: impl IntoIterator<Item = T>, paging: &Paging, id: impl Fn(&T) -> &str) -> Self {
        let mut items: Vec<T> = found.into_iter().take(paging.limit.get() + 1).collect();
        let more = items.len() > paging.limit.get();
        items.truncate(paging.limit.get());
        let next = items.last().filter(|_| more).map(|item| id(item).to_owned());
        Listing { items, next }
    }

    /// The same page with its items as they are shown.
    pub fn map<U>(self, view: impl FnMut(T) -> U) -> Listing<U> {
        Listing { items: self.items.into_iter().map(view).collect(), next: self.next }
    }

    /// As [`Listing::map`], where more has to be read of each item.
    pub async fn try_map<U, F: Future<Output = Result<U>>>(self, mut view: impl FnMut(T) -> F) -> Result<Listing<U>> {
        let mut items = Vec::with_capacity(self.items.len());
        for item in self.items {
            items.push(view(item).await?);
        }
        Ok(Listing { items, next: self.next })
    }
}

/// The cursor of one list of the state, as callers carry it: the engine's text and a check over it and the list's name.
/// So what reaches the engine is what it gave out, for this very list.
pub struct Cursor {
    list: String,
}

impl Cursor {
    /// The cursor of the list with this name, such as `rejected 7`.
    pub fn of(list: impl Into<String>) -> Self {
        Cursor { list: list.into() }
    }

    /// The engine's cursor in what the caller passed as `after`.
    pub fn open<'a>(&self, after: Option<&'a str>) -> Result<Option<&'a str>> {
        let Some(after) = after else { return Ok(None) };
        let engines = after.rsplit_once(CHECK_MARK).filter(|(text, check)| *check == self.check(text));
        engines
            .map(|(text, _)| Some(text))
            .ok_or_else(|| wrong_param("after", "not a place in this list; pass what `next` said"))
    }

    /// The page as it is shown.
    pub fn page<T, U>(&self, page: Page<T>, view: impl FnMut(T) -> U) -> Listing<U> {
        let next = page.next.map(|text| format!("{text}{CHECK_MARK}{}", self.check(&text)));
        Listing { items: page.items.into_iter().map(view).collect(), next }
    }

    fn check(&self, text: &str) -> String {
        let hash = Sha256::new().chain_update(&self.list).chain_update([0]).chain_update(text).finalize();
        hash[..CHECK_BYTES].iter().map(|b| format!("{b:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_on_in_order_after_one_of_them() {
        let ids = ["b", "a", "c", "b"].map(str::to_owned);
        assert_eq!(ids_after(&ids, None), ["a", "b", "c"]);
        assert_eq!(ids_after(&ids, Some("a")), ["b", "c"]);
        assert!(ids_after(&ids, Some("c")).is_empty());
    }

    #[test]
    fn a_list_in_memory_is_cut_into_pages_that_leave_nothing_out() {
        let all = || ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        let page = |after: Option<&str>, limit| {
            let paging = Paging { after: after.map(str::to_owned), limit: Limit(limit) };
            let page = Listing::of_all(all(), &paging, String::as_str);
            (page.items.concat(), page.next)
        };
        assert_eq!(page(None, 2), ("ab".into(), Some("b".into())));
        assert_eq!(page(Some("b"), 2), ("cd".into(), Some("d".into())));
        assert_eq!(page(Some("d"), 2), ("e".into(), None));
        assert_eq!(page(None, 5), ("abcde".into(), None));
        assert_eq!(page(Some("gone"), 5), (String::new(), None));
    }

    #[test]
    fn a_limit_is_between_1_and_500() {
        assert_eq!(Limit::try_from(1).map(Limit::get), Ok(1));
        assert_eq!(Limit::try_from(MAX_LIMIT).map(Limit::get), Ok(MAX_LIMIT));
        assert!(Limit::try_from(0).is_err() && Limit::try_from(MAX_LIMIT + 1).is_err());
        assert_eq!(Limit::default().get(), DEFAULT_LIMIT);
    }

    #[test]
    fn a_cursor_is_only_good_for_the_list_it_came_from() {
        let (one, other) = (Cursor::of("rejected 1"), Cursor::of("rejected 2"));
        let next = one.page(Page { items: vec![1], next: Some("17.3".into()) }, |n| n).next.unwrap();
        assert_eq!(one.open(Some(&next)).unwrap(), Some("17.3"));
        assert_eq!(one.open(None).unwrap(), None);
        for wrong in [next.replace('7', "8").as_str(), "17.3", "", "~", "é~"] {
            assert!(one.open(Some(wrong)).is_err(), "{wrong}");
        }
        assert!(other.open(Some(&next)).is_err());
    }
}
