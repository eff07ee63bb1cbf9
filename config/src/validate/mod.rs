//! What was written → what is true: the only road from [`Schema`] to [`Snapshot`].
//!
//! Here is everything that takes two places of the file to judge: references,
//! repetitions, circles, doors in each other's way. Names become indexes, so that
//! nothing on the path of a request can fail to be found. Does no I/O.

mod buckets;
mod doors;
mod models;
mod names;
mod offers;
mod services;
mod tenants;

use std::cmp::Reverse;

use crate::calendar::Calendar;
use crate::read::{Document, Entry};
use crate::schema::Schema;
use crate::schema::upstreams::ProviderSchema;
use crate::snapshot::{ModelId, Numbers, Provider, Snapshot, Timeouts};
use names::Names;

/// Checks the whole and builds the snapshot; `None` if anything was reported, now or before.
pub(crate) fn validate(document: &Document<'_>, mut schema: Schema) -> Option<Snapshot> {
    // The longest path first, so that the first match of a request is the best.
    // Before anything refers to a service, for references are places in this order.
    schema.services.sort_by_key(|entry| {
        let path = entry
            .body
            .as_ref()
            .and_then(|service| service.path.as_ref());
        Reverse(path.map_or(0, |path| path.value.len()))
    });
    let edge = schema
        .server
        .as_mut()
        .map(|server| std::mem::take(&mut server.edge));
    let doors = doors::check(document, schema.server, schema.admin);
    let provider_names = Names::of("provider", &schema.providers);
    let model_names = Names::of("model", &schema.models);
    let service_names = Names::of("service", &schema.services);

    let (models, providers) = (&schema.models, &schema.providers);
    let models = models::check(document, models, providers, &provider_names, &model_names);
    services::check(document, &schema.services);
    let offers = offers::Offers {
        document,
        models: &model_names,
        services: &service_names,
    };
    let quota = schema.quota.as_ref();
    let calendar = quota.map_or_else(Calendar::default, |quota| quota.calendar.clone());
    let tenants = tenants::check(
        document,
        &schema.plans,
        &schema.tenants,
        (&offers, &calendar),
    );
    if !document.is_sound() {
        return None;
    }

    let (server, admin) = doors?;
    let (models, tenants) = (models?, tenants?);
    let timeouts = schema.timeouts?;
    let model_by_name = model_names.into_index(ModelId);
    Some(Snapshot {
        version: 0,
        server,
        admin,
        store: schema.store?,
        edge: edge?,
        timeouts,
        limits: schema.limits?,
        quota: schema.quota?,
        errors: schema.errors?,
        providers: build_providers(schema.providers, &timeouts)?,
        models,
        services: services::build(schema.services, &timeouts)?,
        tenants: tenants.tenants,
        teams: tenants.teams,
        keys: tenants.keys,
        buckets: tenants.buckets,
        numbers: Numbers::default(),
        model_by_name,
        key_by_digest: tenants.key_by_digest,
    })
}

fn build_providers(
    entries: Vec<Entry<ProviderSchema>>,
    timeouts: &Timeouts,
) -> Option<Vec<Provider>> {
    entries
        .into_iter()
        .map(|Entry { name, body }| {
            let written = body?;
            Some(Provider {
                name: name.value,
                dialect: written.dialect,
                base: written.base,
                api_keys: written.api_keys,
                timeouts: written.timeouts.over(timeouts),
                cancel_stops_billing: written.cancel_stops_billing,
                tls: written.tls,
                proxy: written.proxy,
                care: written.care,
            })
        })
        .collect()
}
