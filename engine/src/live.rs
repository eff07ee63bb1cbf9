//! A snapshot made ready for the workers: live buckets, origins, and every head that
//! can be written beforehand.
//!
//! Built off the workers when configuration is put in force, so that a request copies
//! bytes instead of formatting them. Immutable; a request keeps the one it began with.

mod ways;

use std::collections::HashMap;
use std::sync::Arc;

use rustls::ServerConfig;
use tollring_config::limits::KEY_PATH_BUCKETS_MAX;
use tollring_config::{
    ApiKey, BaseUrl, BucketSpec, HostSent, KeyId, ModelId, Only, Provider, Secret, Service,
    ServiceId, Snapshot, Unit,
};
use tollring_dialects::openai::{self, Endpoint};
use tollring_ledger::{Bucket, Counting};

use crate::exchange::cors::CorsPlan;
use crate::exchange::fields::FieldPlan;
use crate::net::heap;
use crate::tls::Keys;
use crate::upstream::budget::Budget;
use crate::upstream::lane::{Lane, Lanes};
use crate::upstream::origin::Origins;
use crate::upstream::way::{Kept, Known, Way};

const _: () = assert!(
    KEY_PATH_BUCKETS_MAX <= tollring_ledger::PATH_MAX,
    "whatever path the file may say, a hold has room for it"
);

/// A snapshot in force.
pub struct Live {
    /// What the operator said.
    pub config: Snapshot,
    /// The buckets of `config.buckets`, in the same order.
    pub buckets: Vec<Arc<Bucket>>,
    /// The buckets of each key, in the order they are asked.
    paths: Vec<KeyPath>,
    /// The places where each model may be answered, in the order of its targets.
    targets: Vec<Box<[TargetPlan]>>,
    /// The upstreams of each service.
    upstreams: Vec<Box<[UpstreamPlan]>>,
    /// What the data port shows; absent: it speaks in the clear.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// What each service does with the heads that pass.
    services: Vec<ServicePlan>,
    /// Whether any service names hosts, so that they must be looked at.
    pub(crate) names_hosts: bool,
    /// What each model, and each service, may spend on retries.
    model_budgets: Vec<Arc<Budget>>,
    service_budgets: Vec<Arc<Budget>>,
    /// Every lane once, in the order of their owners' names.
    pub lanes: Vec<Kept>,
    /// Those that are chosen by load, so that workers look at each other's.
    pub(crate) compared: Vec<Arc<Lane>>,
    /// The answer to `GET /v1/models`.
    pub(crate) models_list: Vec<u8>,
}

/// The snapshot in force, as the tasks of one worker share it: counted without atomics, so
/// that a request costs no other core a cache line.
pub(crate) struct InForce(pub(crate) Arc<Live>);

impl std::ops::Deref for InForce {
    type Target = Live;

    fn deref(&self) -> &Live {
        &self.0
    }
}

/// The buckets of a key.
struct KeyPath {
    buckets: Box<[Arc<Bucket>]>,
    /// Those that count every request.
    always: Counting,
    /// Those that count money.
    money: Counting,
}

impl KeyPath {
    fn of(key: &ApiKey, buckets: &[Arc<Bucket>]) -> Self {
        let path = key.path.iter();
        let buckets = path.map(|bucket| Arc::clone(&buckets[bucket.index()]));
        let buckets: Box<[_]> = buckets.collect();
        let those = |choose: fn(&BucketSpec) -> bool| {
            let placed = buckets.iter().enumerate();
            let chosen = placed.filter(|(_, bucket)| choose(bucket.spec()));
            chosen.fold(Counting::NONE, |all, (place, _)| all.with(place))
        };
        Self {
            always: those(|spec| spec.only.is_none()),
            money: those(|spec| spec.unit == Unit::Usd),
            buckets,
        }
    }
}

/// A target, with everything about it that can be prepared.
pub(crate) struct TargetPlan {
    pub(crate) way: Way,
    /// The provider's number in what is written down.
    pub(crate) provider: u32,
    /// The provider's name for the model, escaped for JSON, without quotes.
    pub(crate) model_json: Box<[u8]>,
    /// Whether closing the connection stops what the provider charges.
    pub(crate) cancel_stops_billing: bool,
    /// For each of the provider's keys, the head up to the caller's fields, by endpoint.
    heads: Vec<[Box<[u8]>; 3]>,
}

impl TargetPlan {
    /// The head for an endpoint, with the provider's keys taken in turn.
    pub(crate) fn head(&self, endpoint: Endpoint, turn: u64) -> &[u8] {
        let key = usize::try_from(turn % self.heads.len() as u64).unwrap_or(0);
        &self.heads[key][endpoint_place(endpoint)]
    }
}

/// What a service does with the heads that pass, prepared.
pub(crate) struct ServicePlan {
    /// Edits of the fields of requests, and of answers.
    pub(crate) request: Option<FieldPlan>,
    pub(crate) response: Option<FieldPlan>,
    /// What it answers to pages of other origins.
    pub(crate) cors: Option<CorsPlan>,
}

impl ServicePlan {
    fn of(service: &Service) -> Self {
        Self {
            request: FieldPlan::of(&service.rules.request_fields),
            response: FieldPlan::of(&service.rules.response_fields),
            cors: service.rules.cors.as_ref().map(CorsPlan::of),
        }
    }
}

/// One upstream of a REST service.
pub(crate) struct UpstreamPlan {
    pub(crate) service: ServiceId,
    pub(crate) way: Way,
    /// What goes before the caller's path.
    pub(crate) path_prefix: Box<str>,
    /// `Host: …` and its line end; absent where it is told what the client asked for.
    pub(crate) host_line: Option<Box<[u8]>>,
}

impl Live {
    /// Makes a snapshot ready, whose buckets are live. May block on the resolver for names it
    /// has not seen.
    pub(crate) fn build(
        config: Snapshot,
        buckets: Vec<Arc<Bucket>>,
        (origins, lanes): (&Origins, &Lanes),
        keys: Keys,
    ) -> Self {
        let path = |key| KeyPath::of(key, &buckets);
        let mut models_list = Vec::new();
        openai::append_models(
            &mut models_list,
            config.models.iter().map(|model| &*model.name),
        );
        let budget = |kind: &str, name: &str| lanes.budget(&format!("{kind}.{name}"));
        let model_budgets = config
            .models
            .iter()
            .map(|model| budget("models", &model.name));
        let service_budgets = config
            .services
            .iter()
            .map(|service| budget("services", &service.name));
        let known = Known {
            origins,
            lanes,
            keys: &keys,
        };
        let targets = ways::target_plans(&config, &known);
        let upstreams = ways::upstream_plans(&config, &known);
        let (lanes, compared) = ways::all_lanes(&config, &targets, &upstreams);
        // This thread has read the file, which may take twenty times what is kept of it.
        heap::give_back();
        Self {
            paths: config.keys.iter().map(path).collect(),
            model_budgets: model_budgets.collect(),
            service_budgets: service_budgets.collect(),
            targets,
            upstreams,
            lanes,
            compared,
            services: config.services.iter().map(ServicePlan::of).collect(),
            names_hosts: config.services.iter().any(|at| !at.rules.hosts.is_empty()),
            models_list,
            tls: keys.server,
            buckets,
            config,
        }
    }

    /// The key a caller showed.
    pub(crate) fn key(&self, id: KeyId) -> &ApiKey {
        &self.config.keys[id.index()]
    }

    /// The buckets a request with this key must pass.
    pub(crate) fn path(&self, id: KeyId) -> &[Arc<Bucket>] {
        &self.paths[id.index()].buckets
    }

    /// Those of them that count every request.
    pub(crate) fn counting_always(&self, id: KeyId) -> Counting {
        self.paths[id.index()].always
    }

    /// Those of them that count a request which is for what `is_for` says. Costs next to nothing
    /// where all of them count every request.
    pub(crate) fn counting(&self, id: KeyId, is_for: impl Fn(&Only) -> bool) -> Counting {
        let KeyPath {
            buckets, always, ..
        } = &self.paths[id.index()];
        let mut counting = *always;
        for (place, bucket) in buckets.iter().enumerate() {
            let only = bucket.spec().only.as_ref();
            if !always.has(place) && only.is_some_and(&is_for) {
                counting = counting.with(place);
            }
        }
        counting
    }

    /// Those of them that count money.
    pub(crate) fn counting_money(&self, id: KeyId) -> Counting {
        self.paths[id.index()].money
    }

    /// Where a model may be answered.
    pub(crate) fn targets(&self, id: ModelId) -> &[TargetPlan] {
        &self.targets[id.index()]
    }

    /// What a service does with heads.
    pub(crate) fn service(&self, id: ServiceId) -> &ServicePlan {
        &self.services[id.index()]
    }

    /// What a model may spend on retries.
    pub(crate) fn model_budget(&self, id: ModelId) -> &Budget {
        &self.model_budgets[id.index()]
    }

    /// What a service may spend on retries.
    pub(crate) fn service_budget(&self, id: ServiceId) -> &Budget {
        &self.service_budgets[id.index()]
    }

    /// Where a service may be answered.
    pub(crate) fn upstreams(&self, id: ServiceId) -> &[UpstreamPlan] {
        &self.upstreams[id.index()]
    }
}

fn host_line(sent: &HostSent, base: &BaseUrl) -> Option<Box<[u8]>> {
    let host = match sent {
        HostSent::Upstream => &base.authority,
        HostSent::Client => return None,
        HostSent::Name(name) => name,
    };
    Some(format!("Host: {host}\r\n").into_bytes().into())
}

/// Endpoints in the order of `TargetPlan::heads`.
const ENDPOINTS: [(Endpoint, &str); 3] = [
    (Endpoint::ChatCompletions, "/chat/completions"),
    (Endpoint::Completions, "/completions"),
    (Endpoint::Embeddings, "/embeddings"),
];

fn endpoint_place(endpoint: Endpoint) -> usize {
    match endpoint {
        Endpoint::ChatCompletions => 0,
        Endpoint::Completions => 1,
        Endpoint::Embeddings => 2,
    }
}

/// For each key of a provider, the request line, `Host` and the key, for every endpoint.
fn provider_heads(provider: &Provider) -> Vec<[Box<[u8]>; 3]> {
    let heads = |key: Option<&Secret>| ENDPOINTS.map(|(_, path)| head(&provider.base, path, key));
    if provider.api_keys.is_empty() {
        vec![heads(None)]
    } else {
        provider
            .api_keys
            .iter()
            .map(|key| heads(Some(key)))
            .collect()
    }
}

fn head(base: &BaseUrl, path: &str, key: Option<&Secret>) -> Box<[u8]> {
    let (prefix, authority) = (&base.path, &base.authority);
    let mut head = format!("POST {prefix}{path} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(key) = key {
        head.push_str("Authorization: Bearer ");
        head.push_str(key.expose());
        head.push_str("\r\n");
    }
    head.into_bytes().into()
}

/// Whether something differs that is only looked at when the process starts.
fn needs_restart(old: &Snapshot, new: &Snapshot) -> bool {
    let (before, after) = (&old.server, &new.server);
    (&before.listen, before.workers, before.io) != (&after.listen, after.workers, after.io)
        || old.admin.listen != new.admin.listen
        || old.admin.tls.is_some() != new.admin.tls.is_some()
}

/// What differs between two snapshots, in words for the operator.
pub(crate) fn changes(old: &Snapshot, new: &Snapshot) -> Vec<String> {
    fn names<T>(list: &[T], name: fn(&T) -> &str) -> HashMap<&str, usize> {
        list.iter()
            .enumerate()
            .map(|(place, item)| (name(item), place))
            .collect()
    }
    fn compare<T>(what: &str, old: &[T], new: &[T], name: fn(&T) -> &str, told: &mut Vec<String>) {
        let (before, after) = (names(old, name), names(new, name));
        let added = new
            .iter()
            .filter(|item| !before.contains_key(name(item)))
            .count();
        let removed = old
            .iter()
            .filter(|item| !after.contains_key(name(item)))
            .count();
        if added + removed > 0 {
            told.push(format!(
                "{what}: {added} added, {removed} removed, {} now",
                new.len()
            ));
        }
    }
    let mut told = Vec::new();
    compare(
        "providers",
        &old.providers,
        &new.providers,
        |item| &item.name,
        &mut told,
    );
    compare(
        "models",
        &old.models,
        &new.models,
        |item| &item.name,
        &mut told,
    );
    compare(
        "services",
        &old.services,
        &new.services,
        |item| &item.name,
        &mut told,
    );
    compare(
        "tenants",
        &old.tenants,
        &new.tenants,
        |item| &item.name,
        &mut told,
    );
    compare("keys", &old.keys, &new.keys, |item| &item.name, &mut told);
    compare(
        "limits",
        &old.buckets,
        &new.buckets,
        |item| &item.identity,
        &mut told,
    );
    if needs_restart(old, new) {
        told.push("server and admin addresses, workers and io need a restart".to_owned());
    }
    told
}
