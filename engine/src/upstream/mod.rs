//! Who answers: the ways to providers and REST upstreams.
//!
//! Chooses among targets, keeps connections, makes new ones, says when a failed attempt
//! may be followed by another, and keeps a sick upstream from hurting anyone. It knows
//! neither keys nor money.
//!
//! | question | room |
//! |---|---|
//! | where is it, and which of its addresses answers | `origin`, `addresses`, `connect`, `proxy`, `local`, `slots`, `pool` |
//! | how does it stand | `lane` over `condition`: `ejection`, `breaker`, and checks by `prober` |
//! | who is asked | `balance` over `way`, `ewma` |
//! | is there a place, and whose turn is it | `places`, `queue`, `fair` |
//! | may it be tried again | `retry`, `budget`, `failure` |

pub(crate) mod addresses;
pub(crate) mod balance;
pub(crate) mod breaker;
pub(crate) mod budget;
pub(crate) mod condition;
pub(crate) mod connect;
pub(crate) mod ejection;
pub(crate) mod ewma;
pub mod failure;
pub(crate) mod fair;
pub mod lane;
pub mod local;
pub mod origin;
pub(crate) mod places;
pub(crate) mod pool;
pub(crate) mod prober;
pub mod proxy;
pub(crate) mod queue;
pub(crate) mod retry;
pub(crate) mod slots;
pub(crate) mod way;
