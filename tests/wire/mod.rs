//! The wire test: HTTP/1.1 by raw sockets on both sides of a proxy, case by case.
//!
//! Here is the list of topics. A topic is a table of cases in `cases/`; `play` sends them
//! through a proxy and `judge` says which of them it passed. Which proxy that is, the caller
//! decides: the tests play them through tollring, `benches/wire` through others as well.

// Two programs use this, each a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod case;
pub mod cases;
pub mod client;
pub mod judge;
mod meeting;
pub mod message;
mod place;
pub mod play;
pub mod product;
pub mod upstream;

use std::collections::HashSet;

use case::{Case, Group};
use product::Setting;

/// Cases about one thing.
pub struct Topic {
    /// Its name.
    pub name: &'static str,
    /// What stands behind the proxy.
    pub setting: Setting,
    /// Its tables.
    pub tables: &'static [&'static [Group]],
}

impl Topic {
    /// Its cases, in order.
    ///
    /// # Panics
    /// When two have the same name.
    pub fn cases(&self) -> Vec<Case> {
        let groups = self.tables.iter().copied().flatten();
        let cases: Vec<Case> = groups.flat_map(Group::cases).collect();
        let mut names = HashSet::new();
        for case in &cases {
            let new = names.insert(case.name);
            assert!(new, "{} has two cases called {:?}", self.name, case.name);
        }
        cases
    }
}

/// The topic of that name.
///
/// # Panics
/// When there is none.
pub fn topic(name: &str) -> &'static Topic {
    let found = TOPICS.iter().find(|topic| topic.name == name);
    found.unwrap_or_else(|| panic!("no topic is called {name:?}"))
}

const fn services(name: &'static str, tables: &'static [&'static [Group]]) -> Topic {
    Topic {
        name,
        setting: Setting::Services,
        tables,
    }
}

/// Every topic, in the order of a message: the request, its way, the answer.
pub const TOPICS: &[Topic] = &[
    services("request line", &[cases::request_line::GROUPS]),
    services("target", &[cases::target::GROUPS]),
    services("host", &[cases::host::GROUPS]),
    services("fields", &[cases::fields::GROUPS, cases::limits::GROUPS]),
    services("framing", &[cases::framing::GROUPS]),
    services("chunked", &[cases::chunked::GROUPS]),
    services("hop by hop", &[cases::hop_by_hop::GROUPS]),
    services("connections", &[cases::connections::GROUPS]),
    services("pool", &[cases::pool::GROUPS]),
    services("expect", &[cases::expect::GROUPS]),
    services("answer head", &[cases::answer_head::GROUPS]),
    services("answer framing", &[cases::answer_framing::GROUPS]),
    services("answer body", &[cases::answer_body::GROUPS]),
    services("answer flow", &[cases::answer_flow::GROUPS]),
    Topic {
        name: "deadlines",
        setting: Setting::ShortDeadlines,
        tables: &[cases::deadlines::GROUPS],
    },
    Topic {
        name: "models",
        setting: Setting::Models,
        tables: &[cases::models::GROUPS],
    },
];
