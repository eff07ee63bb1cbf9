//! A limit as the ledger counts it.

use std::sync::Arc;

use crate::calendar::Calendar;
use crate::snapshot::{ModelId, ServiceId};
use crate::units::{LimitClass, Scope, Unit, Weights, Window};

/// One limit: whose, of what, over what window, how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketSpec {
    /// Lasts over reloads: scope, owner, unit, window, and whatever else decides what is
    /// counted and when it ends. Two specs never share one.
    pub identity: Arc<str>,
    /// Whose it is.
    pub scope: Scope,
    /// The tenant's name, `tenant/team` or `tenant/key`.
    pub scope_id: Arc<str>,
    /// A name for people: "1000000 tokens per month", "prepaid balance".
    pub name: Arc<str>,
    /// What it counts.
    pub unit: Unit,
    /// What each kind of token counts; absent: one, each.
    pub weights: Option<Weights>,
    /// Over what span.
    pub window: Window,
    /// Where the days of the window begin; without effect on one shorter than a day.
    pub calendar: Calendar,
    /// How much: requests, tokens, nano-USD or requests in flight.
    pub limit: i64,
    /// What kind of no it gives.
    pub class: LimitClass,
    /// The requests that it counts; absent: all.
    pub only: Option<Only>,
}

/// Requests by what they ask for, both lists ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Completions of one of these models, by the name that was asked for.
    pub models: Vec<ModelId>,
    /// Calls of one of these services.
    pub services: Vec<ServiceId>,
}
