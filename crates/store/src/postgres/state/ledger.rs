//! Listing attempts: the tables of the days backwards, in each of them the integrations merged by time.

use futures_util::future::{try_join_all, try_join3};
use tillstream_model::event::EntityKey;
use tillstream_model::time::DAY_MS;
use tillstream_model::{CompanyNo, IntegrationNo, Seq, Time};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{attempts, integrations, spell};
use crate::Page;
use crate::engine::Cause;
use crate::engine::place::{LOOKED_ROWS, Place, SEEK_ROWS};
use crate::postgres::row;
use crate::postgres::session::{Param, Session};
use crate::state::{Attempt, AttemptFilter, Failure};

/// Rows that are looked at first for a filter that has no index, of all integrations together …
const FIRST_LOOK: usize = 2_000;
/// … at least of each …
const LEAST_LOOK: usize = 16;
/// … and how many times as many with every further look.
const LOOK_GROWTH: usize = 4;

/// The server knows little of a day that has just begun: it would rather read all of a busy integration's rows, or all
/// rows of the day for each integration, and sort them than walk along the index, which is never much slower; and
/// compile what is run in less time than that takes.
const PLAN: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off";

const COLUMNS: &str = "at, seq, number, elapsed_ms, status, remaining, domain_key, name_hash, cause, detail, answer";

/// A page of a company's attempts, newest first. In a transaction that the caller ends.
pub(super) async fn page(
    session: &Session,
    company: CompanyNo,
    filter: &AttemptFilter,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<(IntegrationNo, Attempt)>, Cause> {
    let mut list = List::new(filter, after, limit)?;
    let (_, nos, days) = try_join3(
        session.batch(PLAN),
        integrations::numbers(session, company, &filter.integrations),
        attempts::days(session),
    )
    .await?;
    list.nos = nos;
    if list.nos.is_empty() {
        return Ok(list.finish());
    }
    for day in days {
        if day > list.place.at.div_euclid(DAY_MS) || day < list.from.div_euclid(DAY_MS) {
            continue;
        }
        session.batch("SAVEPOINT day").await?;
        match list.take_day(session, &attempts::table(day)).await {
            Ok(false) => {}
            Ok(true) => return Ok(list.finish()),
            Err(cause) if attempts::is_gone(&cause) => session.batch("ROLLBACK TO SAVEPOINT day").await?,
            Err(cause) => return Err(cause),
        }
        list.place = list.place.min(Place::start_of(day * DAY_MS));
        if list.looked >= LOOKED_ROWS {
            list.more = true;
            return Ok(list.finish());
        }
    }
    Ok(list.finish())
}

/// Every attempt of one event, oldest first.
pub(super) async fn of_event(session: &Session, no: IntegrationNo, seq: Seq) -> Result<Vec<Attempt>, Cause> {
    let days = attempts::days(session).await?;
    let found = try_join_all(days.iter().rev().map(|day| of_day(session, no, seq, *day))).await?;
    Ok(found.iter().flatten().map(attempt).collect())
}

async fn of_day(session: &Session, no: IntegrationNo, seq: Seq, day: i64) -> Result<Vec<Row>, Cause> {
    let sql = format!(
        "SELECT integration, {COLUMNS} FROM {} WHERE integration = $1 AND seq = $2
         AND EXISTS (SELECT 1 FROM integrations WHERE no = $1) ORDER BY at, number",
        attempts::table(day)
    );
    let params = [(&spell::stored_no(no) as _, Type::INT8), (&row::stored_seq(seq) as _, Type::INT8)];
    match session.rows(&sql, &params).await {
        Err(cause) if attempts::is_gone(&cause) => Ok(Vec::new()),
        found => found,
    }
}

/// A page that is being put together.
struct List<'a> {
    filter: &'a AttemptFilter,
    limit: usize,
    /// The integrations.
    nos: Vec<i64>,
    /// Everything from here on was looked at.
    place: Place,
    from: i64,
    looked: usize,
    items: Vec<(IntegrationNo, Attempt)>,
    more: bool,
}

impl<'a> List<'a> {
    fn new(filter: &'a AttemptFilter, after: Option<&str>, limit: usize) -> Result<Self, Cause> {
        let place = Place::of_page(filter, after)?;
        let from = filter.from.map_or(0, Time::millis);
        Ok(Self { filter, limit, nos: Vec::new(), place, from, looked: 0, items: Vec::new(), more: false })
    }

    /// Takes what fits from a day's table; true when the page is complete.
    async fn take_day(&mut self, session: &Session, table: &str) -> Result<bool, Cause> {
        self.looked += self.nos.len() * SEEK_ROWS;
        let mut each = (FIRST_LOOK / self.nos.len()).max(LEAST_LOOK);
        loop {
            let floor = match self.looks_at_all() {
                true => self.floor(session, table, each).await?,
                false => self.enough(session, table).await?,
            };
            for row in &self.rows(session, table, floor).await? {
                if self.items.len() == self.limit {
                    self.more = true;
                    return Ok(true);
                }
                self.looked += 1;
                self.place = place(row);
                self.items.push((spell::no(row.get(0)), attempt(row)));
            }
            let Some(floor) = floor else { return Ok(false) };
            self.place = floor;
            if self.looked >= LOOKED_ROWS {
                self.more = true;
                return Ok(true);
            }
            let left = (LOOKED_ROWS - self.looked) / self.nos.len();
            each = (each * LOOK_GROWTH).min(left).max(LEAST_LOOK);
        }
    }

    /// Whether the filter has no index, so that looking for a few rows may mean looking at very many.
    fn looks_at_all(&self) -> bool {
        self.filter.success == Some(true) || self.filter.domain_key.is_some() || self.filter.name_hash.is_some()
    }

    /// Looks at this many rows of each integration, whatever the filter wants of them. Gives the place down to which
    /// that is all of them; None when it is all there are.
    async fn floor(&mut self, session: &Session, table: &str, each: usize) -> Result<Option<Place>, Cause> {
        let sql = format!(
            "SELECT l.looked, l.last FROM unnest($1::int8[], $2::int8[]) n (no, number) CROSS JOIN LATERAL (
                 SELECT count(*) AS looked, min(ARRAY[at, seq, number]) AS last FROM ({}) r
             ) l WHERE l.looked > 0",
            self.newest(table)
        );
        let (numbers, most) = (self.numbers(), i64::try_from(each).unwrap_or(i64::MAX));
        let window = self.window(&numbers);
        let params = [&window[..], &[(&self.from, Type::INT8), (&most, Type::INT8)]].concat();
        let mut floor: Option<Place> = None;
        for row in session.rows(&sql, &params).await? {
            let looked: i64 = row.get(0);
            self.looked = self.looked.saturating_add(usize::try_from(looked)?);
            if looked >= most {
                let [at, seq, number] = row.get::<_, Vec<i64>>(1).try_into().map_err(|_| "a place has three parts")?;
                floor = floor.max(Some(Place { at, seq, number, integration: 0 }));
            }
        }
        Ok(floor)
    }

    /// A place down to which there are as many rows as the page still takes; None when there may be fewer, or when it
    /// is not worth the look. Without it a page's rows would be read of each integration, most of them for nothing.
    async fn enough(&self, session: &Session, table: &str) -> Result<Option<Place>, Cause> {
        let most = (self.limit - self.items.len()).saturating_add(1);
        if self.nos.len().saturating_mul(most) <= FIRST_LOOK {
            return Ok(None);
        }
        let sql = format!(
            "SELECT r.at, r.seq, r.number::int8 FROM unnest($1::int8[], $2::int8[]) n (no, number)
             CROSS JOIN LATERAL ({}) r ORDER BY r.at DESC, r.seq DESC, r.number DESC OFFSET $7 LIMIT 1",
            self.newest(table)
        );
        // Twice its share of each, so that a few integrations without attempts change little.
        let each = i64::try_from(most.div_ceil(self.nos.len()).saturating_mul(2)).unwrap_or(i64::MAX);
        let (numbers, before) = (self.numbers(), i64::try_from(most - 1).unwrap_or(i64::MAX));
        let window = self.window(&numbers);
        let rest: [Param<'_>; 3] = [(&self.from, Type::INT8), (&each, Type::INT8), (&before, Type::INT8)];
        let found = session.row(&sql, &[&window[..], &rest[..]].concat()).await?;
        Ok(found.map(|r| Place { at: r.get(0), seq: r.get(1), number: r.get(2), integration: 0 }))
    }

    /// Selects the newest places of an integration: $1 to $4 are the window, $5 is where it ends, $6 how many.
    fn newest(&self, table: &str) -> String {
        let failed = if self.filter.success == Some(false) { "AND t.cause IS NOT NULL" } else { "" };
        format!(
            "SELECT t.at, t.seq, t.number FROM {table} t WHERE t.integration = n.no
             AND (t.at, t.seq, t.number) < ($3, $4, n.number) AND t.at >= $5 {failed}
             ORDER BY t.at DESC, t.seq DESC, t.number DESC LIMIT $6"
        )
    }

    /// The rows down to the floor, one more than the page takes.
    async fn rows(&self, session: &Session, table: &str, floor: Option<Place>) -> Result<Vec<Row>, Cause> {
        let success = match self.filter.success {
            Some(true) => "AND t.cause IS NULL",
            Some(false) => "AND t.cause IS NOT NULL",
            None => "",
        };
        let sql = format!(
            "SELECT n.no, a.* FROM unnest($1::int8[], $2::int8[]) n (no, number) CROSS JOIN LATERAL (
                 SELECT {COLUMNS} FROM {table} t WHERE t.integration = n.no
                 AND (t.at, t.seq, t.number) < ($3, $4, n.number) AND (t.at, t.seq, t.number) >= ($5, $6, $7) {success}
                 AND ($8 IS NULL OR t.domain_key = $8) AND ($9 IS NULL OR t.name_hash = $9)
                 ORDER BY t.at DESC, t.seq DESC, t.number DESC LIMIT $10
             ) a ORDER BY a.at DESC, a.seq DESC, a.number DESC, n.no DESC LIMIT $10"
        );
        let floor = floor.unwrap_or(Place::start_of(self.from));
        let (key, name) = (self.filter.domain_key.map(|key| key.0), self.filter.name_hash.map(i64::from));
        let (numbers, most) = (self.numbers(), spell::one_more(self.limit - self.items.len()));
        let window = self.window(&numbers);
        let rest: [Param<'_>; 6] = [
            (&floor.at, Type::INT8),
            (&floor.seq, Type::INT8),
            (&floor.number, Type::INT8),
            (&key, Type::INT8),
            (&name, Type::INT8),
            (&most, Type::INT8),
        ];
        session.rows(&sql, &[&window[..], &rest[..]].concat()).await
    }

    /// Where each integration goes on, as numbers of attempts at the same time and position: of two attempts at the
    /// same place in different integrations, the one of the lower number comes later.
    fn numbers(&self) -> Vec<i64> {
        let follows = |no: &i64| i64::from(*no < self.place.integration);
        self.nos.iter().map(|no| self.place.number.saturating_add(follows(no))).collect()
    }

    fn window<'p>(&'p self, numbers: &'p Vec<i64>) -> [Param<'p>; 4] {
        [
            (&self.nos, Type::INT8_ARRAY),
            (numbers, Type::INT8_ARRAY),
            (&self.place.at, Type::INT8),
            (&self.place.seq, Type::INT8),
        ]
    }

    fn finish(self) -> Page<(IntegrationNo, Attempt)> {
        Page { items: self.items, next: self.more.then(|| self.place.text()) }
    }
}

fn place(r: &Row) -> Place {
    Place { at: r.get(1), seq: r.get(2), number: r.get::<_, i32>(3).into(), integration: r.get(0) }
}

fn attempt(r: &Row) -> Attempt {
    let failure = r.get::<_, Option<String>>(9).map(|cause| Failure {
        cause,
        detail: r.get::<_, Option<String>>(10).unwrap_or_default(),
        answer: r.get::<_, Option<Vec<u8>>>(11).unwrap_or_default(),
    });
    Attempt {
        at: Time::from_millis(r.get(1)),
        seq: row::seq(r.get(2)),
        number: spell::count(r.get(3)),
        elapsed_ms: spell::count(r.get(4)),
        status: spell::status(r.get(5)),
        remaining: spell::count(r.get(6)),
        domain_key: r.get::<_, Option<i64>>(7).map(EntityKey),
        name_hash: u32::try_from(r.get::<_, i64>(8)).unwrap_or_default(),
        failure,
    }
}
