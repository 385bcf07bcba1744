//! Leases of buckets: renewing, taking, losing.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::types::Type;

use super::{LEASE, Shared};
use crate::engine::Cause;
use crate::nodes::{BUCKETS, Lease};
use crate::postgres::session::{Broken, Session};

impl Shared {
    /// Stays alive, renews what is held and takes what is free. Gives what was gained, and how many this node should
    /// hold.
    pub(super) async fn renew(&self, first: bool) -> Result<(Vec<Lease>, usize), Cause> {
        let taking_part = self.taking_part.lock().await;
        if !*taking_part {
            return Err("this node has left".into());
        }
        let end = Instant::now() + LEASE;
        let mut session = self.sessions.get().await?;
        session.begin().await?;
        let alive = "INSERT INTO nodes VALUES ($1, clock_timestamp() + $2 * interval '1 millisecond')
                     ON CONFLICT (name) DO UPDATE SET until = excluded.until";
        session.execute(alive, &[(&self.name, Type::TEXT), (&millis(LEASE), Type::FLOAT8)]).await?;
        let renewed = self.hold_on(&session).await?;
        let nodes = "SELECT count(*) FROM nodes WHERE until > clock_timestamp()";
        let nodes: i64 = session.row(nodes, &[]).await?.map_or(1, |r| r.get(0));
        let share = usize::from(BUCKETS).div_ceil(usize::try_from(nodes).unwrap_or(1).max(1));
        let taken = self.take(&session, share.saturating_sub(renewed.len()), first).await?;
        session.execute("DELETE FROM nodes WHERE until < clock_timestamp() - interval '1 day'", &[]).await?;
        session.execute("DELETE FROM questions WHERE asked_at < clock_timestamp() - interval '1 minute'", &[]).await?;
        session.commit().await.map_err(Broken::cause)?;
        let mut held = self.held();
        for bucket in renewed {
            if let Some(lease) = held.get(&bucket) {
                lease.renew(end);
            }
        }
        let gained: Vec<Lease> = taken.into_iter().map(|(bucket, epoch)| Lease::until(bucket, epoch, end)).collect();
        held.extend(gained.iter().map(|lease| (lease.bucket(), lease.clone())));
        Ok((gained, share))
    }

    /// Renews what this node holds; what it does not hold any more is lost.
    async fn hold_on(&self, session: &Session) -> Result<Vec<u16>, Cause> {
        let held: Vec<Lease> = self.held().values().cloned().collect();
        let (buckets, epochs) = columns(held.iter());
        let sql = "UPDATE buckets b SET until = clock_timestamp() + $4 * interval '1 millisecond'
                   FROM unnest($1::int4[], $2::int8[]) h (bucket, epoch)
                   WHERE b.bucket = h.bucket AND b.epoch = h.epoch AND b.node = $3 RETURNING b.bucket";
        let params = [
            (&buckets as _, Type::INT4_ARRAY),
            (&epochs as _, Type::INT8_ARRAY),
            (&self.name as _, Type::TEXT),
            (&millis(LEASE) as _, Type::FLOAT8),
        ];
        let rows = session.rows(sql, &params).await?;
        let renewed: Vec<u16> = rows.iter().filter_map(|r| u16::try_from(r.get::<_, i32>(0)).ok()).collect();
        held.iter().filter(|lease| !renewed.contains(&lease.bucket())).for_each(Lease::lose);
        Ok(renewed)
    }

    /// Takes some free buckets. The first time also those of an earlier process of this name. A bucket that a write
    /// shares at this moment is left for the next round.
    async fn take(&self, session: &Session, most: usize, first: bool) -> Result<Vec<(u16, u64)>, Cause> {
        let sql =
            "UPDATE buckets SET node = $1, epoch = epoch + 1, until = clock_timestamp() + $2 * interval '1 millisecond'
                   WHERE bucket IN (SELECT bucket FROM buckets WHERE until <= clock_timestamp() OR ($4 AND node = $1)
                                    ORDER BY node <> $1, bucket LIMIT $3 FOR UPDATE SKIP LOCKED)
                   RETURNING bucket, epoch";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let params = [
            (&self.name as _, Type::TEXT),
            (&millis(LEASE) as _, Type::FLOAT8),
            (&most as _, Type::INT8),
            (&first as _, Type::BOOL),
        ];
        let rows = session.rows(sql, &params).await?;
        let taken = rows.iter().map(|r| Ok((u16::try_from(r.get::<_, i32>(0))?, u64::try_from(r.get::<_, i64>(1))?)));
        taken.collect()
    }

    /// Takes out leases that are over.
    pub(super) fn take_over(&self) -> Vec<Lease> {
        let mut over = Vec::new();
        self.held().retain(|_, lease| {
            if !lease.holds() {
                lease.lose();
                over.push(lease.clone());
            }
            lease.holds()
        });
        let mut leaving = self.leaving();
        over.iter().for_each(|lease| _ = leaving.remove(&lease.bucket()));
        over
    }

    /// Leases above this node's share that nobody was asked to give up yet.
    pub(super) fn surplus(&self, share: usize) -> Vec<Lease> {
        let (held, mut leaving) = (self.held(), self.leaving());
        let most = held.len().saturating_sub(share).saturating_sub(leaving.len());
        let surplus: Vec<Lease> =
            held.values().rev().filter(|lease| !leaving.contains(&lease.bucket())).take(most).cloned().collect();
        leaving.extend(surplus.iter().map(Lease::bucket));
        surplus
    }
}

/// Buckets and epochs, as the server takes them.
pub(super) fn columns<'a>(leases: impl Iterator<Item = &'a Lease>) -> (Vec<i32>, Vec<i64>) {
    leases.map(|l| (i32::from(l.bucket()), i64::try_from(l.epoch()).unwrap_or(i64::MAX))).unzip()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
