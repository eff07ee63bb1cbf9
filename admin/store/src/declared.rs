//! Who there is and what they may: plans, tenants, teams, keys and their limits.
//!
//! What the configuration file declares is marked so and read-only here: changing it in two places
//! would let the next reload undo one of them. Names stand in `names`; a thing's number is its key.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::change::Change;
use crate::fault::{Cause, FaultKind, StoreFault};
use crate::reader::Reader;

/// Who declares a thing. The numbers stand in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Source {
    /// The configuration file; read-only elsewhere.
    File = 1,
    /// The store, through the operator's API.
    Store = 2,
}

impl FromSql for Source {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            1 => Ok(Self::File),
            2 => Ok(Self::Store),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

/// A named set of limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub name: Box<str>,
    /// Who declares it.
    pub source: Source,
}

/// Who pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its number.
    pub number: u32,
    /// Its plan; absent: none.
    pub plan: Option<Box<str>>,
    /// Whether every request of it is refused.
    pub suspended: bool,
    /// Who declares it.
    pub source: Source,
}

/// A group inside a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Team {
    /// Its number.
    pub number: u32,
    /// Whose it is.
    pub tenant: u32,
    /// Who declares it.
    pub source: Source,
}

/// What a caller shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its number.
    pub number: u32,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// Who pays for it.
    pub tenant: u32,
    /// Its team; absent: none.
    pub team: Option<u32>,
    /// Whether every request with it is refused.
    pub disabled: bool,
    /// From when on it is refused, Unix seconds; absent: never.
    pub expires_s: Option<i64>,
    /// Who declares it.
    pub source: Source,
}

/// Whose limits are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'a> {
    /// A plan, by its name.
    Plan(&'a str),
    /// A tenant, by its number.
    Tenant(u32),
    /// A team, by its number.
    Team(u32),
    /// A key, by its number.
    Key(u32),
}

impl Holder<'_> {
    const fn kind(self) -> u8 {
        match self {
            Self::Plan(_) => 1,
            Self::Tenant(_) => 2,
            Self::Team(_) => 3,
            Self::Key(_) => 4,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Plan(name) => name.to_owned(),
            Self::Tenant(number) | Self::Team(number) | Self::Key(number) => number.to_string(),
        }
    }

    /// Its table, and the column that tells it from others.
    const fn table(self) -> (&'static str, &'static str) {
        match self {
            Self::Plan(_) => ("plans", "name"),
            Self::Tenant(_) => ("tenants", "number"),
            Self::Team(_) => ("teams", "number"),
            Self::Key(_) => ("keys", "number"),
        }
    }
}

/// A limit in the words of the configuration, which is who judges them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What it counts.
    pub unit: Box<str>,
    /// How much, in the smallest amount of its unit: nano-USD for money.
    pub amount: i64,
    /// Over what window.
    pub per: Box<str>,
    /// Whatever else it says, as JSON.
    pub options: Box<str>,
}

impl Change<'_> {
    /// Adds a plan, or takes it over from whoever declared it before.
    ///
    /// # Errors
    /// [`FaultKind::Declared`] when the file declares it and `source` is the store; otherwise what
    /// the disk or the file has to say. The same holds for everything put here.
    pub fn put_plan(&self, plan: &Plan) -> Result<(), StoreFault> {
        self.put(Holder::Plan(&plan.name), plan.source, |transaction| {
            let sql = "INSERT INTO plans VALUES (?1, ?2) \
                       ON CONFLICT (name) DO UPDATE SET source = excluded.source";
            transaction
                .prepare_cached(sql)?
                .execute((&plan.name, plan.source as u8))
        })
    }

    /// Adds a tenant, or changes it. Its number comes from `names`.
    ///
    /// # Errors
    /// As [`Change::put_plan`]; [`FaultKind::Conflict`] when there is no such number or plan.
    pub fn put_tenant(&self, tenant: &Tenant) -> Result<(), StoreFault> {
        self.put(
            Holder::Tenant(tenant.number),
            tenant.source,
            |transaction| {
                let mut statement = transaction.prepare_cached(
                "INSERT INTO tenants VALUES (?1, ?2, ?3, ?4) ON CONFLICT (number) DO UPDATE SET \
                 plan = excluded.plan, suspended = excluded.suspended, source = excluded.source",
            )?;
                let Tenant {
                    number,
                    plan,
                    suspended,
                    source,
                } = tenant;
                statement.execute((number, plan, suspended, *source as u8))
            },
        )
    }

    /// Adds a team, or changes it.
    ///
    /// # Errors
    /// As [`Change::put_plan`]; [`FaultKind::Conflict`] when there is no such number or tenant.
    pub fn put_team(&self, team: &Team) -> Result<(), StoreFault> {
        self.put(Holder::Team(team.number), team.source, |transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO teams VALUES (?1, ?2, ?3) ON CONFLICT (number) DO UPDATE SET \
                 tenant = excluded.tenant, source = excluded.source",
            )?;
            statement.execute((team.number, team.tenant, team.source as u8))
        })
    }

    /// Adds a key, or changes it.
    ///
    /// # Errors
    /// As [`Change::put_plan`]; [`FaultKind::Conflict`] when there is no such number, tenant or
    /// team, or another key has the same digest.
    pub fn put_key(&self, key: &ApiKey) -> Result<(), StoreFault> {
        self.put(Holder::Key(key.number), key.source, |transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO keys VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
                 ON CONFLICT (number) DO UPDATE SET digest = excluded.digest, \
                 tenant = excluded.tenant, team = excluded.team, disabled = excluded.disabled, \
                 expires_s = excluded.expires_s, source = excluded.source",
            )?;
            let ApiKey {
                number,
                digest,
                tenant,
                team,
                disabled,
                expires_s,
                source,
            } = key;
            statement.execute((
                number,
                digest,
                tenant,
                team,
                disabled,
                expires_s,
                *source as u8,
            ))
        })
    }

    /// Puts `limits` in the place of those that the holder had.
    ///
    /// # Errors
    /// As [`Change::put_plan`]; [`FaultKind::Conflict`] when there is no such holder.
    pub fn put_limits(
        &self,
        holder: Holder<'_>,
        source: Source,
        limits: &[Limit],
    ) -> Result<(), StoreFault> {
        self.write(|transaction| {
            guard(transaction, holder, source)?.ok_or(FaultKind::Conflict)?;
            remove_limits(transaction, holder)?;
            let mut statement = transaction
                .prepare_cached("INSERT INTO limits VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
            let (kind, name) = (holder.kind(), holder.name());
            for (place, limit) in limits.iter().enumerate() {
                let Limit {
                    unit,
                    amount,
                    per,
                    options,
                } = limit;
                let place = i64::try_from(place).unwrap_or(i64::MAX);
                statement.execute((kind, &name, place, unit, amount, per, options))?;
            }
            Ok(())
        })
    }

    /// Removes a plan, tenant, team or key with its limits; its number stays its own for ever.
    ///
    /// # Errors
    /// As [`Change::put_plan`]; [`FaultKind::Conflict`] when others still refer to it.
    pub fn remove(&self, holder: Holder<'_>, source: Source) -> Result<(), StoreFault> {
        self.put(holder, source, |transaction| {
            remove_limits(transaction, holder)?;
            let (table, column) = holder.table();
            let sql = format!("DELETE FROM {table} WHERE {column} = ?1");
            transaction.prepare_cached(&sql)?.execute([holder.name()])
        })
    }

    fn put(
        &self,
        holder: Holder<'_>,
        source: Source,
        work: impl FnOnce(&Connection) -> rusqlite::Result<usize>,
    ) -> Result<(), StoreFault> {
        self.write(|transaction| {
            guard(transaction, holder, source)?;
            work(transaction)?;
            Ok(())
        })
    }
}

/// Who declares it so far; a fault when that is the file and it is the store that wants to write.
fn guard(
    connection: &Connection,
    holder: Holder<'_>,
    source: Source,
) -> Result<Option<Source>, Cause> {
    let (table, column) = holder.table();
    let sql = format!("SELECT source FROM {table} WHERE {column} = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement
        .query_row([holder.name()], |row| row.get(0))
        .optional()?;
    match (found, source) {
        (Some(Source::File), Source::Store) => Err(FaultKind::Declared.into()),
        _ => Ok(found),
    }
}

fn remove_limits(connection: &Connection, holder: Holder<'_>) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM limits WHERE holder_kind = ?1 AND holder = ?2";
    connection
        .prepare_cached(sql)?
        .execute((holder.kind(), holder.name()))
}

impl Reader {
    /// All plans, by name.
    ///
    /// # Errors
    /// When the file cannot be read. The same holds for everything asked here.
    pub fn plans(&self) -> Result<Vec<Plan>, StoreFault> {
        self.list("SELECT name, source FROM plans ORDER BY name", (), |row| {
            Ok(Plan {
                name: row.get(0)?,
                source: row.get(1)?,
            })
        })
    }

    /// At most `tenants_max` tenants whose numbers are above `after`, by number.
    ///
    /// # Errors
    /// As [`Reader::plans`].
    pub fn tenants(&self, after: u32, tenants_max: u32) -> Result<Vec<Tenant>, StoreFault> {
        let sql = "SELECT * FROM tenants WHERE number > ?1 ORDER BY number LIMIT ?2";
        self.list(sql, (after, tenants_max), |row| {
            Ok(Tenant {
                number: row.get(0)?,
                plan: row.get(1)?,
                suspended: row.get(2)?,
                source: row.get(3)?,
            })
        })
    }

    /// The teams of a tenant, by number.
    ///
    /// # Errors
    /// As [`Reader::plans`].
    pub fn teams(&self, tenant: u32) -> Result<Vec<Team>, StoreFault> {
        self.list(
            "SELECT * FROM teams WHERE tenant = ?1 ORDER BY number",
            [tenant],
            |row| {
                Ok(Team {
                    number: row.get(0)?,
                    tenant: row.get(1)?,
                    source: row.get(2)?,
                })
            },
        )
    }

    /// At most `keys_max` keys of a tenant whose numbers are above `after`, by number.
    ///
    /// # Errors
    /// As [`Reader::plans`].
    pub fn keys(&self, tenant: u32, after: u32, keys_max: u32) -> Result<Vec<ApiKey>, StoreFault> {
        let sql = "SELECT * FROM keys WHERE tenant = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
        self.list(sql, (tenant, after, keys_max), api_key)
    }

    /// The key with this SHA-256.
    ///
    /// # Errors
    /// As [`Reader::plans`].
    pub fn key_by_digest(&self, digest: &[u8; 32]) -> Result<Option<ApiKey>, StoreFault> {
        let found = self.list("SELECT * FROM keys WHERE digest = ?1", [digest], api_key)?;
        Ok(found.into_iter().next())
    }

    /// The limits of a plan, tenant, team or key, in their order.
    ///
    /// # Errors
    /// As [`Reader::plans`].
    pub fn limits(&self, holder: Holder<'_>) -> Result<Vec<Limit>, StoreFault> {
        let sql = "SELECT unit, amount, per, options FROM limits \
                   WHERE holder_kind = ?1 AND holder = ?2 ORDER BY place";
        self.list(sql, (holder.kind(), holder.name()), |row| {
            Ok(Limit {
                unit: row.get(0)?,
                amount: row.get(1)?,
                per: row.get(2)?,
                options: row.get(3)?,
            })
        })
    }

    fn list<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreFault> {
        self.ask(|view| {
            let mut statement = view.prepare(sql)?;
            Ok(statement
                .query_map(values, read)?
                .collect::<rusqlite::Result<_>>()?)
        })
    }
}

fn api_key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        number: row.get(0)?,
        digest: row.get(1)?,
        tenant: row.get(2)?,
        team: row.get(3)?,
        disabled: row.get(4)?,
        expires_s: row.get(5)?,
        source: row.get(6)?,
    })
}
