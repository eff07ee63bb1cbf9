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

/// Brings the file's schema up to date.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), Cause> {
    migrate_to(connection, &STEPS)
}

fn migrate_to(connection: &mut Connection, steps: &[&str]) -> Result<(), Cause> {
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
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

/// Fails unless the file has seen every step: a reader cannot bring it up to date.
pub(crate) fn expect_current(connection: &Connection) -> Result<(), Cause> {
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    let found = recognise(connection, known)?;
    if found < known {
        return Err(FaultKind::Older { found, known }.into());
    }
    Ok(())
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
