//! One value of the document, given as the type that is wanted.

use toml::de::DeValue;

use crate::fault::{Problem, UrlPart};
use crate::interpolate::interpolate;
use crate::read::{At, Document, Place, Table};
use crate::secret::Secret;
use crate::suggest::nearest;
use crate::units::NanoUsd;
use crate::value::{parse_count, parse_size, parse_usd};

/// A value being read.
pub(crate) struct Field<'d> {
    document: &'d Document<'d>,
    value: &'d DeValue<'d>,
    pub(crate) place: Place,
}

impl<'d> Field<'d> {
    pub(super) const fn new(
        document: &'d Document<'d>,
        value: &'d DeValue<'d>,
        place: Place,
    ) -> Self {
        Self {
            document,
            value,
            place,
        }
    }

    /// Reports a fault here.
    pub(crate) fn report(&self, problem: Problem) {
        self.document.report(&self.place, problem);
    }

    /// Keeps the value out of every fault: it may be a secret.
    pub(crate) fn hide(&self) {
        self.document.hide(self.place.span.clone());
    }

    /// A value with this field's place.
    pub(crate) fn at<T>(&self, value: T) -> At<T> {
        At {
            value,
            place: self.place.clone(),
        }
    }

    /// What a pure function makes of the string, with its variables filled in.
    pub(crate) fn parsed<T>(&self, parse: impl Fn(&str) -> Result<T, Problem>) -> Option<T> {
        let DeValue::String(text) = self.value else {
            return self.wrong_type("a text in quotes");
        };
        let parsed = interpolate(text, self.document.env).and_then(|text| parse(&text));
        parsed.map_err(|problem| self.refuse(problem)).ok()
    }

    /// [`Field::parsed`], with the place for what can only be checked later.
    pub(crate) fn parsed_at<T>(&self, parse: impl Fn(&str) -> Result<T, Problem>) -> Option<At<T>> {
        self.parsed(parse).map(|value| self.at(value))
    }

    /// A secret: it must not be empty, and it must be fit for a header field.
    pub(crate) fn secret(&self) -> Option<Secret> {
        self.hide();
        self.parsed(|text| match text {
            _ if text.trim().is_empty() => Err(Problem::SecretEmpty),
            _ if !text.bytes().all(|byte| byte.is_ascii_graphic()) => Err(Problem::SecretMalformed),
            _ => Ok(Secret::new(text)),
        })
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        self.parsed(|text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found
                .map(|(_, value)| *value)
                .ok_or_else(|| Problem::WordUnknown {
                    suggestion: nearest(text, words.iter().map(|(word, _)| *word)),
                    words: words.iter().map(|(word, _)| *word).collect(),
                })
        })
    }

    /// Yes or no.
    pub(crate) fn flag(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.wrong_type("true or false"),
        }
    }

    /// A whole number.
    pub(crate) fn whole(&self, min: u64, max: u64) -> Option<u64> {
        match self.value {
            DeValue::Integer(_) => self.bounded(self.integer(), min, max),
            _ => self.wrong_type("a whole number"),
        }
    }

    /// A number of bytes, as a number or as text with a unit.
    pub(crate) fn bytes(&self, min: u64, max: u64) -> Option<u64> {
        match self.value {
            DeValue::Integer(_) => self.bounded(self.integer(), min, max),
            DeValue::String(_) => self.bounded(Some(self.parsed(parse_size)?), min, max),
            _ => self.wrong_type("a number of bytes"),
        }
    }

    /// An amount of money; text alone, so that no float ever comes near it.
    pub(crate) fn usd(&self, max_nano: i64) -> Option<NanoUsd> {
        match self.value {
            DeValue::Integer(_) | DeValue::Float(_) => {
                self.report(Problem::DecimalUnquoted);
                None
            }
            _ => self.parsed(|text| parse_usd(text, max_nano)),
        }
    }

    /// A count of something whole, as a number or as text; whether it may be 0 is the caller's.
    pub(crate) fn count(&self, max: i64) -> Option<i64> {
        match self.value {
            DeValue::Integer(_) => {
                let count = self.integer().and_then(|count| i64::try_from(count).ok());
                let inside = count.filter(|count| *count <= max);
                if inside.is_none() {
                    self.report(Problem::NumberOutside {
                        min: 1,
                        max: max.unsigned_abs(),
                    });
                }
                inside
            }
            DeValue::String(_) => self.parsed(parse_count),
            DeValue::Float(_) => {
                self.report(Problem::CountFraction);
                None
            }
            _ => self.wrong_type("a whole number"),
        }
    }

    /// A table.
    pub(crate) fn table(&self) -> Option<Table<'d>> {
        match self.value {
            DeValue::Table(entries) => Some(Table::new(self.document, entries, self.place.clone())),
            _ => self.wrong_type("a table"),
        }
    }

    /// The sound items of a list, the others having been reported; `None` if it is no list.
    pub(crate) fn list<T>(
        &self,
        max: usize,
        read: impl Fn(&Field<'d>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let DeValue::Array(items) = self.value else {
            return self.wrong_type("a list in brackets");
        };
        if items.len() > max {
            self.report(Problem::TooMany { max });
            return None;
        }
        let fields = items.iter().enumerate().map(|(index, item)| {
            let place = self.place.item(index, item.span());
            Field::new(self.document, item.get_ref(), place)
        });
        Some(fields.filter_map(|field| read(&field)).collect())
    }

    /// A list with at least one item; `example` is what to write where it is empty.
    pub(crate) fn filled_list<T>(
        &self,
        max: usize,
        example: &'static str,
        read: impl Fn(&Field<'d>) -> Option<T>,
    ) -> Option<Vec<T>> {
        if self.value.as_array().is_some_and(|items| items.is_empty()) {
            self.report(Problem::ListEmpty { example });
        }
        self.list(max, read)
    }

    /// The number, if it is not negative and fits.
    fn integer(&self) -> Option<u64> {
        let integer = self.value.as_integer()?;
        u64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    fn bounded(&self, number: Option<u64>, min: u64, max: u64) -> Option<u64> {
        let inside = number.filter(|number| (min..=max).contains(number));
        if inside.is_none() {
            self.report(Problem::NumberOutside { min, max });
        }
        inside
    }

    fn refuse(&self, problem: Problem) {
        if problem
            == (Problem::UrlMalformed {
                what: UrlPart::UserInfo,
            })
        {
            self.document.hide(self.place.span.clone());
        }
        self.report(problem);
    }

    fn wrong_type<T>(&self, expected: &'static str) -> Option<T> {
        let found = match self.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.report(Problem::TypeWrong { expected, found });
        None
    }
}
