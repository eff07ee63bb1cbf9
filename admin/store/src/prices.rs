//! What models and services cost, version by version, so that history is never repriced.
//!
//! A price is kept as the text it was written in by whoever reckons with it; here it is only told
//! from the one before it, byte by byte.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::fault::StoreFault;
use crate::reader::Reader;
use crate::store::Store;

/// What an offer cost from some moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceVersion {
    /// What records carry; over all offers, from 1.
    pub number: u32,
    /// The number of the model or service.
    pub offer: u32,
    /// The how-manieth price of this offer, from 1.
    pub version: u32,
    /// The price, in the words of who set it.
    pub price: Box<str>,
    /// From when it was in force, Unix seconds.
    pub since_s: i64,
}

impl Store {
    /// The number of the version of each `(offer, price)`, in the order given: the last one's where
    /// the price is still the same, a new one from `now_s` on where it differs.
    ///
    /// # Errors
    /// [`FaultKind::Conflict`](crate::FaultKind::Conflict) where an offer is nobody's number;
    /// otherwise what the disk or the file has to say.
    pub fn price_versions(
        &mut self,
        prices: &[(u32, &str)],
        now_s: i64,
    ) -> Result<Vec<u32>, StoreFault> {
        self.write(|transaction| {
            let mut numbers = Vec::with_capacity(prices.len());
            for &(offer, price) in prices {
                let last = last(transaction, offer)?;
                numbers.push(match last {
                    Some(last) if *last.price == *price => last.number,
                    last => {
                        let version = last.map_or(0, |last| last.version) + 1;
                        add(transaction, offer, version, price, now_s)?
                    }
                });
            }
            Ok(numbers)
        })
    }
}

impl Reader {
    /// Every price an offer had, the oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn prices(&self, offer: u32) -> Result<Vec<PriceVersion>, StoreFault> {
        self.ask(|view| {
            let mut statement = view.prepare(
                "SELECT number, offer, version, price, since_s FROM price_versions \
                 WHERE offer = ?1 ORDER BY version",
            )?;
            let versions = statement.query_map([offer], price_version)?;
            Ok(versions.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The price that a record names by `number`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn price_version(&self, number: u32) -> Result<Option<PriceVersion>, StoreFault> {
        self.ask(|view| {
            let mut statement = view.prepare(
                "SELECT number, offer, version, price, since_s FROM price_versions \
                 WHERE number = ?1",
            )?;
            Ok(statement.query_row([number], price_version).optional()?)
        })
    }
}

fn last(connection: &Connection, offer: u32) -> rusqlite::Result<Option<PriceVersion>> {
    let mut statement = connection.prepare_cached(
        "SELECT number, offer, version, price, since_s FROM price_versions \
         WHERE offer = ?1 ORDER BY version DESC LIMIT 1",
    )?;
    statement.query_row([offer], price_version).optional()
}

fn add(
    connection: &Connection,
    offer: u32,
    version: u32,
    price: &str,
    since_s: i64,
) -> rusqlite::Result<u32> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO price_versions (offer, version, price, since_s) VALUES (?1, ?2, ?3, ?4) \
         RETURNING number",
    )?;
    statement.query_row((offer, version, price, since_s), |row| row.get(0))
}

/// Reads the columns `number, offer, version, price, since_s`.
fn price_version(row: &Row<'_>) -> rusqlite::Result<PriceVersion> {
    Ok(PriceVersion {
        number: row.get(0)?,
        offer: row.get(1)?,
        version: row.get(2)?,
        price: row.get(3)?,
        since_s: row.get(4)?,
    })
}
