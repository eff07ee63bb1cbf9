//! Money given to tenants, and corrections of it: rows that are added and never changed.

use std::ops::Range;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};
use tollring_config::NanoUsd;

use crate::change::Change;
use crate::declared::Source;
use crate::fault::{Cause, FaultKind, StoreFault};
use crate::reader::{Reader, View};
use crate::report::{GroupBy, Whose, usage};
use crate::rollup::Grain;
use crate::store::count;
use crate::wallet::{Movement, Wallet, wallet};

/// Why money was given. The numbers stand in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GrantKind {
    /// The tenant paid for it.
    TopUp = 1,
    /// Given on account, or to make good.
    Credit = 2,
    /// Given away, mostly for a time.
    Promotion = 3,
}

impl FromSql for GrantKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            1 => Ok(Self::TopUp),
            2 => Ok(Self::Credit),
            3 => Ok(Self::Promotion),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

/// Money that was given to a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its number, given by the store.
    pub id: u64,
    /// To whom.
    pub tenant: u32,
    /// How much; above 0.
    pub amount: NanoUsd,
    /// Why.
    pub kind: GrantKind,
    /// From when on what is left of it is gone, Unix seconds; absent: never.
    pub expires_s: Option<i64>,
    /// In words.
    pub reason: Box<str>,
    /// Tells one wish that was sent twice from two wishes; one grant a tenant for each.
    pub idempotency_key: Box<str>,
    /// When, Unix seconds.
    pub at_s: i64,
    /// By whom.
    pub by: Box<str>,
    /// Whether the file declares it.
    pub source: Source,
}

/// A correction of a tenant's balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// Its number, given by the store.
    pub id: u64,
    /// Whose.
    pub tenant: u32,
    /// How much, either way.
    pub amount: NanoUsd,
    /// In words.
    pub reason: Box<str>,
    /// When, Unix seconds.
    pub at_s: i64,
    /// By whom.
    pub by: Box<str>,
}

impl Change<'_> {
    /// Gives money, and returns the grant's id; when the tenant has a grant of the same
    /// `idempotency_key`, nothing is given and that one's id is returned.
    ///
    /// # Errors
    /// [`FaultKind::Conflict`] when that grant is of another amount, kind or expiry, when the
    /// amount is not above 0, or the tenant is nobody's number; otherwise what the disk or the
    /// file has to say.
    pub fn grant(&self, grant: &Grant) -> Result<u64, StoreFault> {
        self.write(|transaction| {
            if let Some(earlier) = same_wish(transaction, grant)? {
                let is_same = earlier.amount == grant.amount
                    && earlier.kind == grant.kind
                    && earlier.expires_s == grant.expires_s;
                return is_same
                    .then_some(earlier.id)
                    .ok_or_else(|| FaultKind::Conflict.into());
            }
            let mut statement = transaction.prepare_cached(
                "INSERT INTO grants (tenant, amount, kind, expires_s, reason, idempotency_key, \
                 at_s, by, source) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?;
            let id = statement.insert((
                grant.tenant,
                grant.amount.0,
                grant.kind as u8,
                grant.expires_s,
                &grant.reason,
                &grant.idempotency_key,
                grant.at_s,
                &grant.by,
                grant.source as u8,
            ))?;
            Ok(id.cast_unsigned())
        })
    }

    /// Corrects a balance, and returns the adjustment's id.
    ///
    /// # Errors
    /// [`FaultKind::Conflict`] when the tenant is nobody's number; otherwise what the disk or the
    /// file has to say.
    pub fn adjust(&self, adjustment: &Adjustment) -> Result<u64, StoreFault> {
        self.write(|transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO adjustments (tenant, amount, reason, at_s, by) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let Adjustment {
                tenant,
                amount,
                reason,
                at_s,
                by,
                ..
            } = adjustment;
            let id = statement.insert((tenant, amount.0, reason, at_s, by))?;
            Ok(id.cast_unsigned())
        })
    }
}

impl Reader {
    /// A tenant's grants, the oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn grants(&self, tenant: u32) -> Result<Vec<Grant>, StoreFault> {
        self.ask(|view| Ok(grants(view.connection, tenant)?))
    }

    /// A tenant's adjustments, the oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn adjustments(&self, tenant: u32) -> Result<Vec<Adjustment>, StoreFault> {
        self.ask(|view| Ok(adjustments(view.connection, tenant)?))
    }

    /// What a tenant was given, what of it lapsed, what was spent and what is left at `now_s`, by
    /// the rules of [`wallet`]. What was spent is what its requests cost, by the roll-ups; a grant
    /// that expires within a minute counts to that minute's end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn wallet(&self, tenant: u32, now_s: i64) -> Result<Wallet, StoreFault> {
        self.ask(|view| {
            let mut movements = movements(view.connection, tenant)?;
            let mut from_s = 0;
            for upto_s in moments(&movements, now_s) {
                let amount = spent(view, tenant, from_s..upto_s)?;
                movements.push(Movement::Spent {
                    at_s: from_s,
                    amount,
                });
                from_s = upto_s;
            }
            Ok(wallet(&movements, now_s))
        })
    }
}

fn movements(connection: &Connection, tenant: u32) -> rusqlite::Result<Vec<Movement>> {
    let given = grants(connection, tenant)?.into_iter();
    let given = given.map(|grant| Movement::Given {
        at_s: grant.at_s,
        amount: grant.amount,
        expires_s: grant.expires_s,
    });
    let adjusted = adjustments(connection, tenant)?.into_iter();
    let adjusted = adjusted.map(|adjustment| Movement::Adjusted {
        at_s: adjustment.at_s,
        amount: adjustment.amount,
    });
    Ok(given.chain(adjusted).collect())
}

/// The moments up to `now_s` between which it does not matter when something was spent: where money
/// came or lapsed, each at the end of its minute, since that is as fine as the roll-ups are.
fn moments(movements: &[Movement], now_s: i64) -> Vec<i64> {
    let all = movements.iter().flat_map(|movement| match *movement {
        Movement::Given {
            at_s, expires_s, ..
        } => [Some(at_s), expires_s],
        Movement::Adjusted { at_s, .. } | Movement::Spent { at_s, .. } => [Some(at_s), None],
    });
    let mut moments: Vec<i64> = all
        .flatten()
        .filter(|&at_s| at_s < now_s)
        .chain([now_s])
        .map(|at_s| Grain::Minute.end_of(at_s - 1))
        .collect();
    moments.sort_unstable();
    moments.dedup();
    moments
}

fn spent(view: &View<'_>, tenant: u32, time_s: Range<i64>) -> Result<NanoUsd, Cause> {
    let days = usage(view, Whose::Tenant(tenant), time_s, GroupBy::Day)?;
    let costs = days.values().map(|sums| sums.cost);
    Ok(costs.fold(NanoUsd(0), |sum, cost| sum + cost))
}

const GRANT: &str = "SELECT id, tenant, amount, kind, expires_s, reason, idempotency_key, at_s, \
                     by, source FROM grants WHERE tenant = ?1";

fn grants(connection: &Connection, tenant: u32) -> rusqlite::Result<Vec<Grant>> {
    let mut statement = connection.prepare_cached(&format!("{GRANT} ORDER BY id"))?;
    statement.query_map([tenant], grant)?.collect()
}

/// The grant that was made for the same wish.
fn same_wish(connection: &Connection, wish: &Grant) -> rusqlite::Result<Option<Grant>> {
    let mut statement = connection.prepare_cached(&format!("{GRANT} AND idempotency_key = ?2"))?;
    let found = statement.query_row((wish.tenant, &wish.idempotency_key), grant);
    found.optional()
}

fn grant(row: &Row<'_>) -> rusqlite::Result<Grant> {
    Ok(Grant {
        id: count(row, 0)?,
        tenant: row.get(1)?,
        amount: NanoUsd(row.get(2)?),
        kind: row.get(3)?,
        expires_s: row.get(4)?,
        reason: row.get(5)?,
        idempotency_key: row.get(6)?,
        at_s: row.get(7)?,
        by: row.get(8)?,
        source: row.get(9)?,
    })
}

fn adjustments(connection: &Connection, tenant: u32) -> rusqlite::Result<Vec<Adjustment>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, tenant, amount, reason, at_s, by FROM adjustments \
         WHERE tenant = ?1 ORDER BY id",
    )?;
    let rows = statement.query_map([tenant], |row| {
        Ok(Adjustment {
            id: count(row, 0)?,
            tenant: row.get(1)?,
            amount: NanoUsd(row.get(2)?),
            reason: row.get(3)?,
            at_s: row.get(4)?,
            by: row.get(5)?,
        })
    })?;
    rows.collect()
}
