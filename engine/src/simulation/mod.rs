//! The walk of a request on a simulated network: one seed, one world, one verdict.
//!
//! Workers, exchanges, pools, deadlines and ledger are the real ones; clients,
//! providers and the network between them follow from the seed. What must be true is
//! asked at every turn and when everything has come to rest. Nothing here is in the
//! binary: it is built with the feature `simulation`, for `tests/simulation.rs`.

mod book;
mod client;
mod plan;
mod provider;
mod script;
mod stage;
mod strict;
mod verdict;

use crate::net::simulated::{Chance, World};

/// How a world went.
#[derive(Clone, Debug)]
pub struct Played {
    /// What must not be and was, in words; none in a good world.
    pub faults: Vec<String>,
    /// What happened, line by line, if that was asked for.
    pub trace: Vec<String>,
    /// What there was of it.
    pub census: Census,
}

/// What happened in a world, in numbers: equal for two runs of one seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Requests that were planned.
    pub requests: u64,
    /// Answers of providers that clients heard to their end.
    pub delivered: u64,
    /// Answers of the gateway's own that they heard.
    pub refused: u64,
    /// Times that a provider was asked.
    pub visits: u64,
    /// Connections that clients made.
    pub connections: u64,
    /// Tokens that were posted.
    pub tokens: u64,
    /// Turns of the world.
    pub turns: u64,
    /// Virtual time until rest, in milliseconds.
    pub lasted_ms: u64,
}

/// Plays the world of a seed to its end.
pub fn play(seed: u64, traced: bool) -> Played {
    let world = World::begin(seed, traced);
    let mut chance = world.draw(Chance::fork);
    let plan = plan::Plan::draw(&mut chance);
    let stage = stage::Stage::set(&world, plan);
    let played = stage.play();
    world.end();
    played
}
