//! Lasting numbers for names: records and rows are of fixed width, names are not.
//!
//! A number is given once and never taken back or used again, whatever becomes of the thing. What
//! is called the same is the same: a tenant that is taken out of the file and put back later
//! continues where it was.

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::change::Change;
use crate::fault::{Cause, FaultKind, StoreFault};
use crate::reader::Reader;
use crate::store::Store;

/// What a name is the name of. The numbers of all kinds are drawn from one row of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum NameKind {
    /// Who pays.
    Tenant = 1,
    /// A group inside a tenant, as `tenant/team`.
    Team = 2,
    /// What callers show, as `tenant/key`.
    Key = 3,
    /// A service.
    Service = 4,
    /// A model, by the name callers use or by the provider's own.
    Model = 5,
    /// An upstream account.
    Provider = 6,
    /// A bucket, by its identity, whose window is longer than an hour.
    Bucket = 7,
    /// A bucket whose window is an hour or less: what was posted to it is forgotten in time.
    BriefBucket = 8,
}

/// Below one name in so many that there are, each is looked up; above, all are read in order.
const MERGE_SHARE: usize = 8;

impl Store {
    /// The number of each name, in the order of `names`; new names get new numbers, all of them
    /// in one transaction. No number is 0.
    ///
    /// # Errors
    /// When the file cannot be read or written, or every number is taken.
    pub fn numbers(&mut self, kind: NameKind, names: &[&str]) -> Result<Vec<u32>, StoreFault> {
        self.write(|transaction| numbers(transaction, kind, names))
    }
}

impl Change<'_> {
    /// The number of one name, within the change; a new name gets a new number.
    ///
    /// # Errors
    /// As [`Store::numbers`].
    pub fn number(&self, kind: NameKind, name: &str) -> Result<u32, StoreFault> {
        self.write(|transaction| Ok(numbers(transaction, kind, &[name])?[0]))
    }
}

impl Reader {
    /// The names of numbers, in the order of `numbers`; absent where nothing has that number.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn names(&self, numbers: &[u32]) -> Result<Vec<Option<Box<str>>>, StoreFault> {
        self.ask(|view| {
            let mut statement = view.prepare("SELECT name FROM names WHERE number = ?1")?;
            let mut names = Vec::with_capacity(numbers.len());
            for number in numbers {
                names.push(statement.query_row([number], |row| row.get(0)).optional()?);
            }
            Ok(names)
        })
    }

    /// The number of a name, where it has one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn number(&self, kind: NameKind, name: &str) -> Result<Option<u32>, StoreFault> {
        self.ask(|view| {
            let mut number = [0];
            look_up(view.connection, kind, &[name], &mut number)?;
            Ok(Some(number[0]).filter(|&number| number != 0))
        })
    }
}

fn numbers(
    transaction: &Transaction<'_>,
    kind: NameKind,
    names: &[&str],
) -> Result<Vec<u32>, Cause> {
    let highest: u32 =
        transaction.query_row("SELECT coalesce(max(number), 0) FROM names", [], |row| {
            row.get(0)
        })?;
    let mut numbers = vec![0; names.len()];
    if names.len().saturating_mul(MERGE_SHARE) < highest as usize {
        look_up(transaction, kind, names, &mut numbers)?;
    } else {
        merge(transaction, kind, names, &mut numbers)?;
    }
    add_missing(transaction, kind, names, &mut numbers)?;
    Ok(numbers)
}

fn look_up(
    connection: &Connection,
    kind: NameKind,
    names: &[&str],
    numbers: &mut [u32],
) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("SELECT number FROM names WHERE kind = ?1 AND name = ?2")?;
    for (name, number) in names.iter().zip(numbers) {
        let known = statement.query_row((kind as u8, name), |row| row.get(0));
        *number = known.optional()?.unwrap_or_default();
    }
    Ok(())
}

/// The places of `names` in the order in which the index on names has them.
fn in_order(names: &[&str]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_unstable_by_key(|&place| names[place]);
    order
}

/// Walks the index on names and the sorted names side by side.
fn merge(
    connection: &Connection,
    kind: NameKind,
    names: &[&str],
    numbers: &mut [u32],
) -> rusqlite::Result<()> {
    let order = in_order(names);
    let mut wanted = order.iter().peekable();
    let mut statement = connection
        .prepare_cached("SELECT name, number FROM names WHERE kind = ?1 ORDER BY name")?;
    let mut rows = statement.query([kind as u8])?;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str()?;
        while wanted.next_if(|&&place| names[place] < name).is_some() {}
        while let Some(&place) = wanted.next_if(|&&place| names[place] == name) {
            numbers[place] = row.get(1)?;
        }
        if wanted.peek().is_none() {
            break;
        }
    }
    Ok(())
}

/// Gives a number to each name that has none yet; a name that stands twice gets one.
fn add_missing(
    transaction: &Transaction<'_>,
    kind: NameKind,
    names: &[&str],
    numbers: &mut [u32],
) -> Result<(), Cause> {
    let missing: Vec<usize> = (0..names.len()).filter(|&at| numbers[at] == 0).collect();
    let missing_names: Vec<&str> = missing.iter().map(|&at| names[at]).collect();
    let mut statement =
        transaction.prepare_cached("INSERT INTO names (kind, name) VALUES (?1, ?2)")?;
    let mut last: Option<(&str, u32)> = None;
    for at in in_order(&missing_names) {
        let name = missing_names[at];
        let number = match last {
            Some((same, number)) if same == name => number,
            _ => {
                let number = statement.insert((kind as u8, name))?;
                u32::try_from(number).map_err(|_| FaultKind::NumbersUsedUp)?
            }
        };
        numbers[missing[at]] = number;
        last = Some((name, number));
    }
    Ok(())
}
