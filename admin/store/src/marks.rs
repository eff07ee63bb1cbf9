//! How far each of the store's chores has come; each mark moves in its chore's own transaction.

use rusqlite::Connection;

/// A chore that goes on where it stopped. The numbers stand in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mark {
    /// How often commits were put on the disk for good; there to give such a commit something to
    /// write.
    Synced = 1,
    /// Minutes that begin before this moment (Unix seconds) are in their hours.
    HoursUpto = 2,
    /// Hours that begin before this moment are in their days.
    DaysUpto = 3,
    /// Sums of brief buckets that end before this moment are forgotten.
    BriefForgotten = 4,
}

impl Mark {
    pub(crate) fn read(self, connection: &Connection) -> rusqlite::Result<i64> {
        let mut statement = connection.prepare_cached("SELECT value FROM marks WHERE mark = ?1")?;
        statement.query_row([self as u8], |row| row.get(0))
    }

    pub(crate) fn write(self, connection: &Connection, value: i64) -> rusqlite::Result<()> {
        let mut statement =
            connection.prepare_cached("UPDATE marks SET value = ?2 WHERE mark = ?1")?;
        statement.execute((self as u8, value)).map(drop)
    }
}
