//! The names of one kind of thing, and the places they stand for.

use std::collections::{HashMap, hash_map};
use std::hash::Hash;

use crate::fault::Problem;
use crate::read::{At, Document, Entry, Place};
use crate::suggest::nearest;

/// The names of one kind of thing, in the order of the snapshot.
///
/// Faulty things are among them: to refer to one is not a second fault.
pub(super) struct Names {
    kind: &'static str,
    in_order: Vec<Box<str>>,
    places: HashMap<Box<str>, u32>,
}

impl Names {
    pub(super) fn of<T>(kind: &'static str, entries: &[Entry<T>]) -> Self {
        let in_order: Vec<_> = entries
            .iter()
            .map(|entry| entry.name.value.clone())
            .collect();
        let places = in_order.iter().cloned().zip(0..).collect();
        Self {
            kind,
            in_order,
            places,
        }
    }

    /// The place of what is referred to; reported if there is none.
    pub(super) fn find(&self, document: &Document<'_>, name: &At<Box<str>>) -> Option<u32> {
        let place = self.places.get(&name.value).copied();
        if place.is_none() {
            let guess = || nearest(&name.value, self.in_order.iter().map(|name| &**name));
            let suggestion = document.has_room().then(guess).flatten();
            let problem = Problem::ReferenceUnknown {
                kind: self.kind,
                suggestion,
            };
            document.report(&name.place, problem);
        }
        place
    }

    /// The name at a place.
    pub(super) fn at(&self, place: usize) -> &str {
        &self.in_order[place]
    }

    /// The places by name, for the snapshot.
    pub(super) fn into_index<Id>(self, id: fn(u32) -> Id) -> HashMap<Box<str>, Id> {
        self.places
            .into_iter()
            .map(|(name, place)| (name, id(place)))
            .collect()
    }
}

/// Reports what stands in a list twice; keys are compared, places reported.
pub(super) fn report_repeated<'a, K: Hash + Eq>(
    document: &Document<'_>,
    items: impl IntoIterator<Item = (K, &'a Place)>,
) {
    let mut first: HashMap<K, &Place> = HashMap::new();
    for (key, place) in items {
        match first.entry(key) {
            hash_map::Entry::Vacant(free) => {
                free.insert(place);
            }
            hash_map::Entry::Occupied(taken) => {
                let first = taken.get().path.clone();
                document.report(place, Problem::Repeated { first });
            }
        }
    }
}
