//! What a snapshot's names are called in what is written down.
//!
//! Asked before a snapshot is put in force, so that whatever a worker writes can be read later,
//! whatever became of the configuration by then.

use tollring_config::{Numbers, Price, Service, ServicePrice, Snapshot, Window};
use tollring_store::{NameKind, Store, StoreFault};

/// Gives every name of a snapshot its number, old ones the one they had.
pub(super) fn number(
    store: &mut Store,
    snapshot: &Snapshot,
    now_s: i64,
) -> Result<Numbers, StoreFault> {
    let tenants = names(&snapshot.tenants, |tenant| &tenant.name);
    let models = names(&snapshot.models, |model| &model.name);
    let services = names(&snapshot.services, |service| &service.name);
    let providers = names(&snapshot.providers, |provider| &provider.name);
    let keys: Vec<String> = snapshot
        .keys
        .iter()
        .map(|key| format!("{}/{}", snapshot.tenants[key.tenant.index()].name, key.name))
        .collect();
    let teams: Vec<String> = snapshot
        .teams
        .iter()
        .map(|team| {
            format!(
                "{}/{}",
                snapshot.tenants[team.tenant.index()].name,
                team.name
            )
        })
        .collect();
    let teams: Vec<&str> = teams.iter().map(String::as_str).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let models = store.numbers(NameKind::Model, &models)?;
    let services = store.numbers(NameKind::Service, &services)?;
    let model_prices: Vec<String> = snapshot
        .models
        .iter()
        .map(|model| model.price.as_ref().map(words_of).unwrap_or_default())
        .collect();
    let service_prices: Vec<String> = snapshot.services.iter().map(words_of_service).collect();
    Ok(Numbers {
        tenants: store.numbers(NameKind::Tenant, &tenants)?,
        teams: store.numbers(NameKind::Team, &teams)?,
        keys: store.numbers(NameKind::Key, &keys)?,
        providers: store.numbers(NameKind::Provider, &providers)?,
        model_prices: store.price_versions(&offers(&models, &model_prices), now_s)?,
        service_prices: store.price_versions(&offers(&services, &service_prices), now_s)?,
        buckets: buckets(store, snapshot)?,
        models,
        services,
    })
}

fn names<T>(list: &[T], name: impl Fn(&T) -> &str) -> Vec<&str> {
    list.iter().map(name).collect()
}

fn offers<'w>(numbers: &[u32], words: &'w [String]) -> Vec<(u32, &'w str)> {
    let words = words.iter().map(String::as_str);
    numbers.iter().copied().zip(words).collect()
}

/// Sums of short windows are forgotten in time, so their buckets are of another kind.
fn buckets(store: &mut Store, snapshot: &Snapshot) -> Result<Vec<u32>, StoreFault> {
    let mut numbers = vec![0; snapshot.buckets.len()];
    for (kind, brief) in [(NameKind::Bucket, false), (NameKind::BriefBucket, true)] {
        let chosen = snapshot.buckets.iter().enumerate();
        let chosen = chosen.filter(|(_, bucket)| is_brief(bucket.window) == brief);
        let (places, identities): (Vec<usize>, Vec<&str>) = chosen
            .map(|(place, bucket)| (place, &*bucket.identity))
            .unzip();
        for (place, number) in places.into_iter().zip(store.numbers(kind, &identities)?) {
            numbers[place] = number;
        }
    }
    Ok(numbers)
}

const fn is_brief(window: Window) -> bool {
    matches!(
        window,
        Window::Second | Window::Minute | Window::Hour | Window::Rolling { .. }
    )
}

/// A price in words that are the same as long as it is.
fn words_of(price: &Price) -> String {
    let Price {
        input,
        output,
        cached_input,
        request,
    } = price;
    format!(
        "{{\"input\":\"{input}\",\"output\":\"{output}\",\
         \"cached_input\":\"{cached_input}\",\"request\":\"{request}\"}}"
    )
}

fn words_of_service(service: &Service) -> String {
    let ServicePrice { request, megabyte } = &service.price;
    format!(r#"{{"request":"{request}","megabyte":"{megabyte}"}}"#)
}
