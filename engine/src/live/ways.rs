//! The members of each model and service, made with the snapshot: where they are, whose they
//! are, and the lane that each shares with whatever snapshot knew it before.

use std::collections::HashMap;
use std::sync::Arc;

use tollring_config::{
    Balance, BaseUrl, Model, Numbers, Provider, Service, ServiceId, Snapshot, Target,
};

use super::{TargetPlan, UpstreamPlan, host_line, provider_heads};
use crate::upstream::lane::Lane;
use crate::upstream::way::{Kept, Known, Owner, Way};

/// The places where each model may be answered.
pub(super) fn target_plans(config: &Snapshot, known: &Known<'_>) -> Vec<Box<[TargetPlan]>> {
    let care = |provider: &Provider| Arc::new(provider.care.clone());
    let cares: Vec<_> = config.providers.iter().map(care).collect();
    let plan = |target: &Target| {
        let provider = &config.providers[target.provider.index()];
        let owner = Owner {
            name: &format!("providers.{}", provider.name),
            care: &cares[target.provider.index()],
            timeouts: provider.timeouts,
            tls: &provider.tls,
            proxy: provider.proxy.as_ref(),
        };
        TargetPlan {
            way: Way::find(&owner, &provider.base, target.weight, known),
            provider: Numbers::at(&config.numbers.providers, target.provider.index()),
            model_json: tollring_dialects::json::escape_json(&target.model).into(),
            cancel_stops_billing: provider.cancel_stops_billing,
            heads: provider_heads(provider),
        }
    };
    let plans = |model: &Model| model.targets.iter().map(plan).collect();
    config.models.iter().map(plans).collect()
}

/// The upstreams of each service.
pub(super) fn upstream_plans(config: &Snapshot, known: &Known<'_>) -> Vec<Box<[UpstreamPlan]>> {
    let plans = |(place, service): (u32, &Service)| {
        let owner = Owner {
            name: &format!("services.{}", service.name),
            care: &Arc::new(service.care.clone()),
            timeouts: service.timeouts,
            tls: &service.tls,
            proxy: service.proxy.as_ref(),
        };
        let plan = |base: &BaseUrl| UpstreamPlan {
            service: ServiceId(place),
            way: Way::find(&owner, base, 1, known),
            path_prefix: base.path.clone(),
            host_line: host_line(&service.rules.host, base),
        };
        service.upstreams.iter().map(plan).collect()
    };
    (0..).zip(&config.services).map(plans).collect()
}

/// Every lane once, with its care; and those that are chosen by load among others.
pub(super) fn all_lanes(
    config: &Snapshot,
    targets: &[Box<[TargetPlan]>],
    upstreams: &[Box<[UpstreamPlan]>],
) -> (Vec<Kept>, Vec<Arc<Lane>>) {
    let of_models = config
        .models
        .iter()
        .zip(targets)
        .flat_map(|(model, plans)| {
            let ways = plans.iter().map(|plan| &plan.way);
            ways.map(move |way| (way, model.balance, plans.len()))
        });
    let of_services = config
        .services
        .iter()
        .zip(upstreams)
        .flat_map(|(service, plans)| {
            let ways = plans.iter().map(|plan| &plan.way);
            ways.map(move |way| (way, service.balance, plans.len()))
        });
    let (mut all, mut compared) = (HashMap::new(), HashMap::new());
    for (way, balance, count) in of_models.chain(of_services) {
        let key = Arc::as_ptr(&way.lane);
        all.entry(key).or_insert_with(|| way.kept());
        if balance != Balance::Weighted && count > 1 {
            compared.entry(key).or_insert_with(|| Arc::clone(&way.lane));
        }
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by(|one, other| {
        let (one, other) = (&one.lane, &other.lane);
        (&one.owner, &one.origin.name).cmp(&(&other.owner, &other.origin.name))
    });
    (all, compared.into_values().collect())
}
