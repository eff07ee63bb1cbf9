//! JSON objects as another reader sees them: their members in order, values as written.
//!
//! serde_json says what is JSON here. Members keep their order and come as often as they are
//! there, which a map would hide; values stay text, so that no number is rounded.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Containers that our readers follow into each other.
const NESTED_MAX: usize = 64;

/// The members of one object.
#[derive(Debug)]
pub struct Members<'t>(pub Vec<(Key, &'t RawValue)>);

/// A key with its escapes read. Half a surrogate pair is no text, so it is bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Key(pub Vec<u8>);

impl<'t> Members<'t> {
    /// The members of an object, or none where it is not JSON or no object.
    #[must_use]
    pub fn of(text: &'t [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// The value under a key, as it is written. None where there is none, or more than one.
    #[must_use]
    pub fn only(&self, key: &str) -> Option<&'t str> {
        let mut under = self.all(key);
        let value = under.next();
        value.filter(|_| under.next().is_none())
    }

    /// How many values there are under a key.
    #[must_use]
    pub fn count(&self, key: &str) -> usize {
        self.all(key).count()
    }

    /// The keys and values but those under one key.
    #[must_use]
    pub fn without(&self, left_out: &str) -> Vec<(&[u8], &'t str)> {
        let all = self
            .0
            .iter()
            .map(|(key, value)| (key.0.as_slice(), value.get()));
        all.filter(|(key, _)| *key != left_out.as_bytes()).collect()
    }

    fn all(&self, key: &str) -> impl Iterator<Item = &'t str> {
        let under = self
            .0
            .iter()
            .filter(move |member| member.0.0 == key.as_bytes());
        under.map(|member| member.1.get())
    }
}

/// Whether nothing in `text` can nest deeper than our readers follow.
#[must_use]
pub fn is_shallow(text: &[u8]) -> bool {
    text.iter().filter(|byte| b"{[".contains(byte)).count() <= NESTED_MAX
}

/// A whole number that is written as one and that every reader takes alike.
#[must_use]
pub fn whole(text: &str) -> Option<u64> {
    let value: u64 = text.parse().ok()?;
    (value.to_string() == text && value < 1 << 53).then_some(value)
}

impl<'t> Deserialize<'t> for Members<'t> {
    fn deserialize<D: Deserializer<'t>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'t> Visitor<'t> for InOrder {
    type Value = Members<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

impl<'t> Deserialize<'t> for Key {
    fn deserialize<D: Deserializer<'t>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_bytes(AsBytes)
    }
}

struct AsBytes;

impl Visitor<'_> for AsBytes {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<Key, E> {
        Ok(Key(key.to_vec()))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
        Ok(Key(key.into()))
    }
}
