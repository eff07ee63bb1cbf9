//! REST services: paths of their own, outside the gateway's.

use crate::fault::Problem;
use crate::read::{Document, Entry, Place};
use crate::rules::{HostPattern, ServiceRules};
use crate::schema::upstreams::ServiceSchema;
use crate::snapshot::{Service, Timeouts};
use crate::validate::names::report_repeated;

/// The gateway's own routes stand below this path; a service at `/` takes what is left.
const RESERVED: &str = "/v1";

/// Reports paths that two services want, or the gateway; and upstreams named twice.
pub(super) fn check(document: &Document<'_>, services: &[Entry<ServiceSchema>]) {
    let mut sound: Vec<_> = services
        .iter()
        .filter_map(|entry| entry.body.as_ref())
        .collect();
    // In the order of the file, so that it is the second that is reported.
    sound.sort_by_key(|service| service.path.as_ref().map(|path| path.place.span.start));
    let paths = || sound.iter().filter_map(|service| service.path.as_ref());
    report_repeated(document, sound.iter().flat_map(|service| claims(service)));
    for path in paths() {
        let below = path.value.strip_prefix(RESERVED);
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            document.report(&path.place, Problem::PathReserved);
        }
    }
    for service in &sound {
        let upstreams = service.upstreams.iter();
        report_repeated(
            document,
            upstreams.map(|upstream| (&upstream.value, &upstream.place)),
        );
    }
}

/// What a service claims: its path, on each of its hosts or on any; and the place to report.
fn claims(service: &ServiceSchema) -> impl Iterator<Item = ((&str, Option<&HostPattern>), &Place)> {
    let hosts = &service.rules.hosts;
    let anywhere = hosts.is_empty().then_some(None);
    let claimed = anywhere.into_iter().chain(hosts.iter().map(Some));
    let on_path = service.path.iter();
    on_path.flat_map(move |path| {
        claimed.clone().map(move |host| {
            let place = host.map_or(&path.place, |host| &host.place);
            ((&*path.value, host.map(|host| &host.value)), place)
        })
    })
}

/// The services in the order they are in.
pub(super) fn build(
    services: Vec<Entry<ServiceSchema>>,
    timeouts: &Timeouts,
) -> Option<Vec<Service>> {
    services
        .into_iter()
        .map(|Entry { name, body }| {
            let written = body?;
            let hosts = written.rules.hosts.into_iter().map(|host| host.value);
            Some(Service {
                name: name.value,
                path: written.path?.value,
                upstreams: written
                    .upstreams
                    .into_iter()
                    .map(|upstream| upstream.value)
                    .collect(),
                balance: written.balance,
                retries: written.retries,
                care: written.care,
                auth: written.auth,
                meter: written.meter,
                price: written.price,
                timeouts: written.timeouts.over(timeouts),
                tls: written.tls,
                proxy: written.proxy,
                rules: ServiceRules {
                    hosts: hosts.collect(),
                    ..written.rules.rules
                },
            })
        })
        .collect()
}
