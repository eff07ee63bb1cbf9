//! Who changed what, and when: entries are added in the change's own transaction, never edited.

use rusqlite::Row;

use crate::change::Change;
use crate::fault::StoreFault;
use crate::reader::Reader;

/// One change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place in the log, from 1; given by the store.
    pub id: u64,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Who did it.
    pub who: Box<str>,
    /// What was done: `key.disable`.
    pub what: Box<str>,
    /// To what: `tenants/acme/keys/build-bot`.
    pub target: Box<str>,
    /// As it was, without secrets; absent: it was not there.
    pub before: Option<Box<str>>,
    /// As it is; absent: it is no more.
    pub after: Option<Box<str>>,
}

impl Change<'_> {
    /// Adds an entry; its `id` is given by the store and returned.
    ///
    /// # Errors
    /// What the disk or the file has to say.
    pub fn record(&self, entry: &AuditEntry) -> Result<u64, StoreFault> {
        self.write(|transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO audit (at_ms, who, what, target, before, after) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            let AuditEntry {
                at_ms,
                who,
                what,
                target,
                before,
                after,
                ..
            } = entry;
            let id = statement.insert((at_ms, who, what, target, before, after))?;
            Ok(id.cast_unsigned())
        })
    }
}

impl Reader {
    /// The newest entries, at most `entries_max`, older than the one with the id `before`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn audit(
        &self,
        before: Option<u64>,
        entries_max: u32,
    ) -> Result<Vec<AuditEntry>, StoreFault> {
        let before = before.map_or(i64::MAX, u64::cast_signed);
        self.ask(|view| {
            let mut statement = view.prepare(
                "SELECT id, at_ms, who, what, target, before, after FROM audit \
                 WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let entries = statement.query_map((before, entries_max), audit_entry)?;
            Ok(entries.collect::<rusqlite::Result<_>>()?)
        })
    }
}

fn audit_entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        id: crate::store::count(row, 0)?,
        at_ms: row.get(1)?,
        who: row.get(2)?,
        what: row.get(3)?,
        target: row.get(4)?,
        before: row.get(5)?,
        after: row.get(6)?,
    })
}
