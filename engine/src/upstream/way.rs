//! One member of a model's targets, or of a service's upstreams: where it is, how it is
//! looked after, and what the gateway knows of it.
//!
//! Made with the snapshot; what changes is in its lane and its places, which last over reloads.

use std::sync::Arc;

use tollring_config::{BaseUrl, Care, UpstreamProxy, UpstreamTimeouts, UpstreamTls};

use super::lane::{Lane, Lanes};
use super::origin::{Origin, Origins};
use super::places::Places;
use crate::tls::Keys;

/// The way to one target or upstream.
pub(crate) struct Way {
    pub(crate) origin: Arc<Origin>,
    pub(crate) lane: Arc<Lane>,
    pub(crate) care: Arc<Care>,
    /// Where the requests under way are counted, if they have a bound.
    pub(crate) places: Option<Arc<Places>>,
    pub(crate) timeouts: UpstreamTimeouts,
    /// Its share among the others; at least 1.
    pub(crate) weight: u32,
    /// What a `Host` field says.
    authority: Box<str>,
}

/// A lane that a snapshot uses, with what the snapshot says of it.
#[derive(Clone)]
pub struct Kept {
    /// The lane.
    pub lane: Arc<Lane>,
    /// How it is looked after.
    pub care: Arc<Care>,
    /// What a `Host` field says.
    pub(crate) authority: Box<str>,
}

/// Whose ways these are.
pub(crate) struct Owner<'a> {
    /// As the file says it: `providers.openai`, `services.weather`.
    pub(crate) name: &'a str,
    pub(crate) care: &'a Arc<Care>,
    pub(crate) timeouts: UpstreamTimeouts,
    pub(crate) tls: &'a UpstreamTls,
    pub(crate) proxy: Option<&'a UpstreamProxy>,
}

/// Where origins and lanes are found, and what was read for TLS.
pub(crate) struct Known<'a> {
    pub(crate) origins: &'a Origins,
    pub(crate) lanes: &'a Lanes,
    pub(crate) keys: &'a Keys,
}

impl Way {
    /// The way to a base URL. May block on the resolver.
    pub(crate) fn find(owner: &Owner<'_>, base: &BaseUrl, weight: u32, known: &Known<'_>) -> Self {
        let Known {
            origins,
            lanes,
            keys,
        } = known;
        let origin = origins.find(base, (owner.tls, owner.proxy), keys);
        let bounded = owner.care.max_in_flight.is_some();
        Self {
            lane: lanes.lane(owner.name, &origin),
            origin,
            care: Arc::clone(owner.care),
            places: bounded.then(|| lanes.places(owner.name)),
            timeouts: owner.timeouts,
            weight,
            authority: base.authority.clone(),
        }
    }

    /// Its lane, for whoever looks at all of them.
    pub(crate) fn kept(&self) -> Kept {
        Kept {
            lane: Arc::clone(&self.lane),
            care: Arc::clone(&self.care),
            authority: self.authority.clone(),
        }
    }

    /// Whether a request that came now would have to wait.
    pub(crate) fn is_full(&self) -> bool {
        let bound = self.care.max_in_flight.zip(self.places.as_ref());
        bound.is_some_and(|(limit, places)| places.held() >= limit)
    }
}
