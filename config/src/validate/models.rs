//! Models: targets and fallbacks found, no circles, prices filled in from the catalogue.

use crate::catalogue;
use crate::fault::Problem;
use crate::read::{At, Document, Entry};
use crate::schema::models::{ModelSchema, TargetSchema};
use crate::schema::upstreams::ProviderSchema;
use crate::snapshot::{Model, ModelId, ProviderId, Target};
use crate::validate::names::{Names, report_repeated};

/// Names shown of a circle; longer ones are told by their beginning.
const CHAIN_SHOWN_MAX: usize = 16;

/// Checks every model; `None` if any is faulty, after all were checked.
pub(super) fn check(
    document: &Document<'_>,
    entries: &[Entry<ModelSchema>],
    providers: &[Entry<ProviderSchema>],
    provider_names: &Names,
    model_names: &Names,
) -> Option<Vec<Model>> {
    let fallbacks: Vec<_> = entries
        .iter()
        .map(|entry| fallback(document, entry, model_names))
        .collect();
    report_circles(document, entries, &fallbacks, model_names);
    let targets: Vec<_> = entries
        .iter()
        .map(|entry| targets(document, entry, provider_names))
        .collect();

    let downgrades: Vec<_> = entries
        .iter()
        .map(|entry| {
            let written = entry.body.as_ref()?.downgrade.as_ref()?;
            model_names.find(document, written).map(ModelId)
        })
        .collect();
    let parts = entries.iter().zip(targets).zip(fallbacks).zip(downgrades);
    parts
        .map(|(((entry, targets), fallback), downgrade)| {
            let targets = targets?;
            let fallback = fallback
                .into_iter()
                .map(|(model, _)| ModelId(model))
                .collect();
            model(entry, targets, (fallback, downgrade), providers)
        })
        .collect()
}

fn model(
    entry: &Entry<ModelSchema>,
    targets: Vec<Target>,
    (fallback, downgrade): (Vec<ModelId>, Option<ModelId>),
    providers: &[Entry<ProviderSchema>],
) -> Option<Model> {
    let written = entry.body.as_ref()?;
    // The first target speaks for the model: it is what the operator meant it to be.
    let listed = targets.first().and_then(|target| {
        let provider = &providers[target.provider.index()];
        let host = provider
            .body
            .as_ref()
            .map_or("", |provider| &*provider.base.host);
        catalogue::look_up(&provider.name.value, host, &target.model)
    });
    Some(Model {
        name: entry.name.value.clone(),
        targets,
        balance: written.balance,
        retries: written.retries,
        fallback,
        downgrade,
        price: written
            .price
            .or_else(|| listed.and_then(|listed| listed.price)),
        output_tokens_max: written
            .output_tokens_max
            .or_else(|| listed.and_then(|listed| listed.output_tokens_max)),
        context_tokens_max: written
            .context_tokens_max
            .or_else(|| listed.and_then(|listed| listed.context_tokens_max)),
    })
}

fn targets(
    document: &Document<'_>,
    entry: &Entry<ModelSchema>,
    providers: &Names,
) -> Option<Vec<Target>> {
    let written = &entry.body.as_ref()?.targets;
    let identity = |target: &At<TargetSchema>| {
        let model = target.value.model.clone()?;
        Some((target.value.provider.value.clone(), model))
    };
    let identities = written
        .iter()
        .filter_map(|at| Some((identity(at)?, &at.place)));
    report_repeated(document, identities);

    let found: Vec<_> = written
        .iter()
        .map(|At { value, .. }| {
            let provider = ProviderId(providers.find(document, &value.provider)?);
            Some(Target {
                provider,
                model: value.model.clone()?,
                weight: value.weight,
            })
        })
        .collect();
    found.into_iter().collect()
}

/// The fallbacks that exist, each with its number in the written list.
fn fallback(
    document: &Document<'_>,
    entry: &Entry<ModelSchema>,
    models: &Names,
) -> Vec<(u32, usize)> {
    let written = entry.body.as_ref().map_or(&[][..], |model| &model.fallback);
    report_repeated(
        document,
        written.iter().map(|name| (&name.value, &name.place)),
    );
    let numbered = written.iter().enumerate();
    numbered
        .filter_map(|(item, name)| Some((models.find(document, name)?, item)))
        .collect()
}

/// Where a model stands in the search for circles.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// Not come to yet.
    Unseen,
    /// On the way that is being followed; coming to it again closes a circle.
    OnTheWay,
    /// Left, and no circle leads through it that has not been reported.
    Done,
}

/// Reports each fallback that closes a circle, by a depth-first search.
///
/// The way is a list and not the call stack: a file may chain thousands of models.
fn report_circles(
    document: &Document<'_>,
    entries: &[Entry<ModelSchema>],
    fallbacks: &[Vec<(u32, usize)>],
    names: &Names,
) {
    let mut visits = vec![Visit::Unseen; entries.len()];
    for start in 0..entries.len() {
        if visits[start] != Visit::Unseen {
            continue;
        }
        visits[start] = Visit::OnTheWay;
        // Each model of the way, with the number of its fallbacks already followed.
        let mut way = vec![(start, 0)];
        while let Some((model, followed)) = way.last_mut() {
            let Some(&(next, item)) = fallbacks[*model].get(*followed) else {
                visits[*model] = Visit::Done;
                way.pop();
                continue;
            };
            *followed += 1;
            let (from, next) = (*model, next as usize);
            match visits[next] {
                Visit::Done => {}
                Visit::Unseen => {
                    visits[next] = Visit::OnTheWay;
                    way.push((next, 0));
                }
                Visit::OnTheWay => {
                    let circle = way
                        .iter()
                        .map(|(model, _)| *model)
                        .skip_while(|at| *at != next);
                    let chain = chain(circle.chain([next]), names);
                    if let Some(model) = &entries[from].body {
                        let place = &model.fallback[item].place;
                        document.report(place, Problem::FallbackCycle { chain });
                    }
                }
            }
        }
    }
}

/// The names along a circle, shortened.
fn chain(circle: impl Iterator<Item = usize>, names: &Names) -> Vec<String> {
    let mut chain: Vec<_> = circle.map(|model| names.at(model).to_owned()).collect();
    if chain.len() > CHAIN_SHOWN_MAX {
        chain.truncate(CHAIN_SHOWN_MAX);
        chain.push("…".to_owned());
    }
    chain
}
