//! Whose turn it is: requests that wait for places, by the tenant they are of.
//!
//! The next place goes to the tenant that has the fewest of those that were given out here,
//! and among equals to the one that was served longest ago; within a tenant, first come first
//! served. Where no more may wait, a newcomer takes the stand of the last who came of the
//! tenant with the most there, if its own has clearly fewer. So whoever asks ten times as
//! often waits for itself, and nobody else for it.
//!
//! No lock, no clock and no places: those are [`super::places`]'.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tollring_config::TenantId;

/// Whose a request is. All who call without a key are as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Whose(pub(crate) Option<TenantId>);

/// A request that waits, or was just taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) whose: Whose,
    /// Rises with every request that comes.
    pub(crate) ticket: u64,
    pub(crate) waits: Waits,
}

/// How somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waits {
    /// With which worker.
    pub(crate) worker: usize,
    /// How many may have a place when it takes one.
    pub(crate) limit: u32,
}

/// Everyone who waits for places of one provider or service.
#[derive(Debug, Default)]
pub(crate) struct Line {
    tenants: HashMap<Whose, Tenant>,
    /// Who has somebody waiting, the next one first: places it has, when it was served, who.
    turns: BTreeSet<(u32, u64, Whose)>,
    /// The same, the one with the most last.
    lengths: BTreeSet<(usize, Whose)>,
    waiting: usize,
    tickets: u64,
    served: u64,
}

/// One tenant in the line. Forgotten when it neither waits nor has anything.
#[derive(Debug, Default)]
struct Tenant {
    /// Those who wait, by ticket.
    waiting: BTreeMap<u64, Waits>,
    /// Places that it was given here and has not given back.
    has: u32,
    /// When it was served last, counted in places given; 0: not that anybody remembers.
    served: u64,
}

impl Line {
    /// How many wait.
    pub(crate) const fn len(&self) -> usize {
        self.waiting
    }

    /// Joins the end of its tenant's.
    pub(crate) fn join(&mut self, whose: Whose, waits: Waits) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        self.change(whose, |tenant| tenant.waiting.insert(ticket, waits));
        ticket
    }

    /// Leaves the line; says whether it still stood in it.
    pub(crate) fn leave(&mut self, whose: Whose, ticket: u64) -> bool {
        let left = self.change(whose, |tenant| tenant.waiting.remove(&ticket));
        left.is_some()
    }

    /// Who is next.
    pub(crate) fn next(&self) -> Option<Waits> {
        let (_, _, whose) = self.turns.first()?;
        let first = self.tenants.get(whose)?.waiting.first_key_value();
        first.map(|(_, waits)| *waits)
    }

    /// Takes out the next one, who has a place from here on.
    pub(crate) fn serve(&mut self) -> Option<Stand> {
        let &(_, _, whose) = self.turns.first()?;
        self.served += 1;
        let served = self.served;
        self.take_out(whose, |tenant| {
            tenant.has += 1;
            tenant.served = served;
            tenant.waiting.pop_first()
        })
    }

    /// A place that somebody had from here is given back.
    pub(crate) fn give_back(&mut self, whose: Whose) {
        self.change(whose, |tenant| tenant.has = tenant.has.saturating_sub(1));
    }

    /// Takes out somebody for a newcomer. Only one of a tenant that has more waiting even then:
    /// otherwise two would take turns at throwing each other out.
    pub(crate) fn make_room(&mut self, newcomer: Whose) -> Option<Stand> {
        let &(most, whose) = self.lengths.last()?;
        let own = self.tenants.get(&newcomer);
        let own = own.map_or(0, |tenant| tenant.waiting.len());
        if most <= own + 1 {
            return None;
        }
        self.take_out(whose, |tenant| tenant.waiting.pop_last())
    }

    fn take_out(
        &mut self,
        whose: Whose,
        take: impl FnOnce(&mut Tenant) -> Option<(u64, Waits)>,
    ) -> Option<Stand> {
        let (ticket, waits) = self.change(whose, take)?;
        Some(Stand {
            whose,
            ticket,
            waits,
        })
    }

    /// Changes a tenant, and keeps the order of turns and lengths in step.
    fn change<T>(&mut self, whose: Whose, change: impl FnOnce(&mut Tenant) -> T) -> T {
        let tenant = self.tenants.entry(whose).or_default();
        let before = tenant.waiting.len();
        if before > 0 {
            self.turns.remove(&(tenant.has, tenant.served, whose));
            self.lengths.remove(&(before, whose));
        }
        let changed = change(tenant);
        let after = tenant.waiting.len();
        self.waiting = self.waiting + after - before;
        if after > 0 {
            self.turns.insert((tenant.has, tenant.served, whose));
            self.lengths.insert((after, whose));
        } else if tenant.has == 0 {
            self.tenants.remove(&whose);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: Whose = Whose(Some(TenantId(0)));
    const B: Whose = Whose(Some(TenantId(1)));
    const C: Whose = Whose(None);
    const HERE: Waits = Waits {
        worker: 0,
        limit: 1,
    };

    fn line(waiting: &[(Whose, usize)]) -> Line {
        let mut line = Line::default();
        for (whose, count) in waiting {
            for _ in 0..*count {
                line.join(*whose, HERE);
            }
        }
        line
    }

    /// Who is served in the next so many turns, when everybody keeps the place.
    fn served(line: &mut Line, count: usize) -> Vec<Whose> {
        let stands = (0..count).filter_map(|_| line.serve());
        stands.map(|stand| stand.whose).collect()
    }

    #[test]
    fn tenants_take_turns_however_many_each_has_waiting() {
        let mut line = line(&[(A, 10), (B, 2), (C, 1)]);
        let mut first: Vec<_> = served(&mut line, 3);
        first.sort();
        assert_eq!(first, [C, A, B]);
        assert_eq!(served(&mut line, 3), [A, B, A]);
    }

    #[test]
    fn a_tenant_that_keeps_its_places_is_served_after_those_that_have_fewer() {
        let mut line = line(&[(A, 9), (B, 9)]);
        served(&mut line, 6);
        // B is done with its three, A is not.
        (0..3).for_each(|_| line.give_back(B));
        assert_eq!(served(&mut line, 3), [B, B, B]);
    }

    #[test]
    fn within_a_tenant_it_is_first_come_first_served() {
        let mut line = Line::default();
        let waits = |limit| Waits { limit, ..HERE };
        let tickets: Vec<_> = (0..3).map(|limit| line.join(A, waits(limit))).collect();
        assert!(line.leave(A, tickets[1]) && !line.leave(A, tickets[1]));
        for limit in [0, 2] {
            assert_eq!(line.next(), Some(waits(limit)));
            let next = line.serve().map(|stand| (stand.ticket, stand.waits));
            assert_eq!(next, Some((tickets[limit as usize], waits(limit))));
        }
        assert_eq!((line.serve(), line.len()), (None, 0));
    }

    #[test]
    fn room_is_made_by_the_last_of_the_longest_and_only_for_who_has_clearly_fewer() {
        let mut line = line(&[(A, 4), (B, 1)]);
        let out = line.make_room(C).map(|stand| (stand.whose, stand.ticket));
        assert_eq!(out, Some((A, 4)));
        assert_eq!(line.make_room(A), None, "nobody makes room for the longest");
        line.join(C, HERE);
        assert_eq!(line.make_room(B).map(|stand| stand.whose), Some(A));
        assert_eq!(line.make_room(B), None, "two and one are as good as equal");
        assert_eq!(line.len(), 4);
    }

    proptest! {
        /// Against a plain list that says what must hold.
        #[test]
        fn nobody_is_lost_and_nobody_is_served_before_one_with_fewer(
            steps in prop::collection::vec((0..5_u8, 0..4_u32), 1..300),
        ) {
            let mut line = Line::default();
            let (mut waiting, mut has) = (Vec::new(), [0_i32; 4]);
            for (step, number) in steps {
                let whose = Whose(Some(TenantId(number)));
                match step {
                    0 | 1 => waiting.push((whose, line.join(whose, HERE))),
                    2 => if let Some(stand) = line.serve() {
                        let key = (stand.whose, stand.ticket);
                        let oldest = waiting.iter().find(|other| other.0 == stand.whose);
                        prop_assert_eq!(oldest, Some(&key));
                        let count = |whose: Whose| has[whose.0.map_or(0, TenantId::index)];
                        let fewest = waiting.iter().map(|other| count(other.0)).min();
                        prop_assert_eq!(Some(count(stand.whose)), fewest);
                        waiting.retain(|other| *other != key);
                        has[stand.whose.0.map_or(0, TenantId::index)] += 1;
                    } else {
                        prop_assert!(waiting.is_empty());
                    },
                    3 => if has[number as usize] > 0 {
                        has[number as usize] -= 1;
                        line.give_back(whose);
                    },
                    _ => if let Some(place) = waiting.iter().position(|other| other.0 == whose) {
                        let (whose, ticket) = waiting.remove(place);
                        prop_assert!(line.leave(whose, ticket));
                    },
                }
                prop_assert_eq!(line.len(), waiting.len());
            }
            for whose in 0..4 {
                let left = line.tenants.contains_key(&Whose(Some(TenantId(whose))));
                let known = has[whose as usize] > 0
                    || waiting.iter().any(|other| other.0 == Whose(Some(TenantId(whose))));
                prop_assert_eq!(left, known, "who has nothing is forgotten");
            }
        }
    }
}
