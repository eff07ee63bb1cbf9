//! A table of the document: gives out its fields by name, and reports the strangers.

use toml::de::DeTable;

use crate::fault::Problem;
use crate::read::{At, Document, Entry, Field, Place};
use crate::suggest::nearest;

/// A table being read.
pub(crate) struct Table<'d> {
    pub(crate) document: &'d Document<'d>,
    entries: &'d DeTable<'d>,
    pub(crate) place: Place,
    /// The fields asked for so far.
    known: Vec<&'static str>,
}

impl<'d> Table<'d> {
    pub(super) fn new(document: &'d Document<'d>, entries: &'d DeTable<'d>, place: Place) -> Self {
        Self {
            document,
            entries,
            place,
            known: Vec::new(),
        }
    }

    /// The table that the whole document is.
    pub(crate) fn root(document: &'d Document<'d>, entries: &'d DeTable<'d>) -> Self {
        Self::new(
            document,
            entries,
            Place {
                span: 0..0,
                path: String::new(),
            },
        )
    }

    /// Reports a fault of the table itself.
    pub(crate) fn report(&self, problem: Problem) {
        self.document.report(&self.place, problem);
    }

    /// A field, if it is there.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Field<'d>> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        let (key, value) = self.entries.get_key_value(name)?;
        let place = self.place.below(key.get_ref(), value.span());
        Some(Field::new(self.document, value.get_ref(), place))
    }

    /// A field that may be absent: `Some(None)` if it is, `None` if it is faulty.
    pub(crate) fn maybe<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Field<'d>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.take(name) {
            Some(field) => read(&field).map(Some),
            None => Some(None),
        }
    }

    /// A field with a default.
    pub(crate) fn or<T>(
        &mut self,
        name: &'static str,
        default: T,
        read: impl FnOnce(&Field<'d>) -> Option<T>,
    ) -> Option<T> {
        self.take(name).map_or(Some(default), |field| read(&field))
    }

    /// A field that must be there; `example` is what to add where it is not.
    pub(crate) fn need<T>(
        &mut self,
        name: &'static str,
        example: &'static str,
        read: impl FnOnce(&Field<'d>) -> Option<T>,
    ) -> Option<T> {
        let Some(field) = self.take(name) else {
            let place = self.place.below(name, self.place.span.clone());
            self.document
                .report(&place, Problem::FieldMissing { example });
            return None;
        };
        read(&field)
    }

    /// A table below this one; an absent one is read as if it were empty.
    pub(crate) fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Table<'d>) -> Option<T>,
    ) -> Option<T> {
        match self.take(name) {
            Some(field) => read(field.table()?),
            None => {
                let place = self.place.below(name, self.place.span.clone());
                read(Self::new(self.document, empty(), place))
            }
        }
    }

    /// A table whose names the operator chose, in the order of the file.
    ///
    /// A faulty entry keeps its name, so that what refers to it is not called a
    /// fault as well.
    pub(crate) fn named<T>(
        &mut self,
        section: &'static str,
        max: usize,
        parse: fn(&str) -> Result<Box<str>, Problem>,
        read: impl Fn(Table<'d>) -> Option<T>,
    ) -> Vec<Entry<T>> {
        let Some(table) = self.take(section).and_then(|field| field.table()) else {
            return Vec::new();
        };
        let mut entries: Vec<_> = table.entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        if entries.len() > max {
            self.document.report(&table.place, Problem::TooMany { max });
            return Vec::new();
        }
        entries
            .into_iter()
            .map(|(key, value)| {
                let name: &str = key.get_ref();
                let at_key = table.place.below(name, key.span());
                if let Err(problem) = parse(name) {
                    self.document.report(&at_key, problem);
                }
                let place = table.place.below(name, value.span());
                let field = Field::new(self.document, value.get_ref(), place);
                let body = field.table().and_then(&read);
                let name = At {
                    value: name.into(),
                    place: at_key,
                };
                Entry { name, body }
            })
            .collect()
    }

    /// Values under names that the operator chose, in the order of the file: the sound ones, the
    /// others having been reported. `parse` gives a name the spelling in which it is compared.
    pub(crate) fn pairs<T>(
        &mut self,
        section: &'static str,
        max: usize,
        parse: fn(&str) -> Result<Box<str>, Problem>,
        read: impl Fn(&Field<'d>) -> Option<T>,
    ) -> Option<Vec<(Box<str>, T)>> {
        let Some(field) = self.take(section) else {
            return Some(Vec::new());
        };
        let table = field.table()?;
        let mut entries: Vec<_> = table.entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        if entries.len() > max {
            field.report(Problem::TooMany { max });
            return None;
        }
        let mut pairs: Vec<(Box<str>, T)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let written: &str = key.get_ref();
            let at_key = table.place.below(written, key.span());
            let place = table.place.below(written, value.span());
            let value = read(&Field::new(self.document, value.get_ref(), place));
            match parse(written) {
                Err(problem) => self.document.report(&at_key, problem),
                Ok(name) if pairs.iter().any(|(other, _)| *other == name) => {
                    let first = table.place.below(&name, 0..0).path;
                    self.document.report(&at_key, Problem::Repeated { first });
                }
                Ok(name) => pairs.extend(value.map(|value| (name, value))),
            }
        }
        Some(pairs)
    }

    /// Reports the fields that nobody asked for. Every table ends with this.
    pub(crate) fn close(self) {
        for (key, value) in self.entries {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            self.document.hide_stranger(value);
            let suggestion = nearest(name, self.known.iter().copied());
            let problem = Problem::FieldUnknown {
                suggestion,
                known: self.known.clone(),
            };
            self.document
                .report(&self.place.below(name, key.span()), problem);
        }
    }
}

/// The table that stands for one that is not there.
fn empty() -> &'static DeTable<'static> {
    static EMPTY: std::sync::OnceLock<DeTable<'static>> = std::sync::OnceLock::new();
    EMPTY.get_or_init(DeTable::new)
}
