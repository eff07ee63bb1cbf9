//! The schema's history: numbered steps, forward only, each in one transaction.
//!
//! A step that was released is never edited; what is wrong with it is mended by the next. The file
//! says in `user_version` how many it has seen, and in `application_id` that it is ours.

use rusqlite::{Connection, TransactionBehavior};

use crate::fault::{Cause, FaultKind};

/// Step N stands at place N - 1.
pub(crate) const STEPS: [&str; 1] = [include_str!("migrations/0001_first.sql")];

/// "toll" in ASCII: tells our files from those of other programs.
const APPLICATION_ID: i32 = 0x746f_6c6c;

/// Fails unless the file is ours and of no newer program; looks, and changes nothing.
pub(crate) fn expect_known(connection: &Connection) -> Result<(), Cause> {
    recognise(connection, known(&STEPS)).map(drop)
}

/// Fails unless the file has seen every step: a reader cannot bring it up to date.
pub(crate) fn expect_current(connection: &Connection) -> Result<(), Cause> {
    let known = known(&STEPS);
    let found = recognise(connection, known)?;
    if found < known {
        return Err(FaultKind::Older { found, known }.into());
    }
    Ok(())
}

/// Brings the file's schema up to date.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), Cause> {
    migrate_through(connection, &STEPS)
}

fn migrate_through(connection: &mut Connection, steps: &[&str]) -> Result<(), Cause> {
    let known = known(steps);
    for step in recognise(connection, known)?..known {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process of this program may have come first.
        if version(&transaction)? != step {
            continue;
        }
        transaction.execute_batch(steps[step as usize])?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", step + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

fn known(steps: &[&str]) -> u32 {
    u32::try_from(steps.len()).unwrap_or(u32::MAX)
}

/// How many steps the file has seen, if it is ours.
fn recognise(connection: &Connection, known: u32) -> Result<u32, Cause> {
    let found = version(connection)?;
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_new = found == 0 && id == 0 && tables == 0;
    if !is_new && id != APPLICATION_ID {
        return Err(FaultKind::Foreign.into());
    }
    if found > known {
        return Err(FaultKind::Newer { found, known }.into());
    }
    Ok(found)
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use super::*;

    /// The schema of a file that has seen the first `steps` steps, then the rest.
    fn schema_after(steps: usize) -> Vec<(String, Option<String>)> {
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(migrate_through(&mut connection, &STEPS[..steps]).is_ok());
        assert!(migrate(&mut connection).is_ok());
        let mut statement = connection
            .prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn every_earlier_schema_becomes_the_newest_one() {
        let newest = schema_after(0);
        assert!(!newest.is_empty());
        for steps in 1..=STEPS.len() {
            assert_eq!(schema_after(steps), newest);
        }
    }

    #[test]
    fn a_step_that_fails_leaves_the_schema_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = [
            "CREATE TABLE a (x)",
            "CREATE TABLE b (x); CREATE TABLE a (y)",
        ];
        assert!(migrate_through(&mut connection, &steps).is_err());
        assert_eq!(version(&connection).unwrap(), 1);
        assert!(!connection.table_exists(None, "b").unwrap());
        // The next program's step is in order.
        let steps = ["CREATE TABLE a (x)", "CREATE TABLE b (x)"];
        assert!(migrate_through(&mut connection, &steps).is_ok());
        assert!(connection.table_exists(None, "b").unwrap());
    }

    #[test]
    fn a_file_that_is_up_to_date_is_not_written() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(migrate(&mut connection).is_ok());
        let changes = connection.total_changes();
        assert!(migrate(&mut connection).is_ok());
        assert_eq!(connection.total_changes(), changes);
    }
}
