//! Models: what callers ask for by name, who answers, and what it costs.

use crate::care::{Balance, Retries};
use crate::fault::Problem;
use crate::limits::{COUNT_MAX, FALLBACK_MAX, PRICE_NANO_MAX, TARGETS_MAX, WEIGHT_MAX};
use crate::read::{At, Field, Table};
use crate::schema::care::{balance, retries};
use crate::snapshot::Price;
use crate::units::NanoUsd;
use crate::value::{parse_model_name, parse_name};

/// `[models.…]`.
pub(crate) struct ModelSchema {
    pub(crate) targets: Vec<At<TargetSchema>>,
    pub(crate) balance: Balance,
    pub(crate) retries: Retries,
    pub(crate) fallback: Vec<At<Box<str>>>,
    pub(crate) downgrade: Option<At<Box<str>>>,
    pub(crate) price: Option<Price>,
    pub(crate) output_tokens_max: Option<u64>,
    pub(crate) context_tokens_max: Option<u64>,
}

/// One of `targets`.
pub(crate) struct TargetSchema {
    pub(crate) provider: At<Box<str>>,
    pub(crate) model: Option<Box<str>>,
    pub(crate) weight: u32,
}

pub(crate) fn model(mut table: Table<'_>) -> Option<ModelSchema> {
    let example = "targets = [{ provider = \"openai\", model = \"gpt-4o-mini\" }]";
    let targets = table.need("targets", example, |field| {
        field.filled_list(TARGETS_MAX, example, target)
    });
    let fallback = table.or("fallback", Vec::new(), |field| {
        field.list(FALLBACK_MAX, |item| item.parsed_at(parse_model_name))
    });
    let downgrade = table.maybe("downgrade", |field| field.parsed_at(parse_model_name));
    let balance = balance(&mut table, Balance::Weighted);
    let retries = retries(&mut table);
    let price = table.maybe("price", price);
    let mut tokens = |name| table.maybe(name, |field| field.whole(1, COUNT_MAX.unsigned_abs()));
    let output_tokens_max = tokens("output_tokens_max");
    let context_tokens_max = tokens("context_tokens_max");
    table.close();
    Some(ModelSchema {
        targets: targets.unwrap_or_default(),
        balance: balance.unwrap_or(Balance::Weighted),
        retries: retries.unwrap_or_default(),
        fallback: fallback.unwrap_or_default(),
        downgrade: downgrade.flatten(),
        price: price.flatten(),
        output_tokens_max: output_tokens_max.flatten(),
        context_tokens_max: context_tokens_max.flatten(),
    })
}

fn target(field: &Field<'_>) -> Option<At<TargetSchema>> {
    let mut table = field.table()?;
    let provider = table.need("provider", "provider = \"openai\"", |field| {
        field.parsed_at(parse_name)
    });
    let model = table.need("model", "model = \"gpt-4o-mini\"", |field| {
        field.parsed(parse_model_name)
    });
    let weight = table.or("weight", 1, |field| field.whole(1, WEIGHT_MAX));
    table.close();
    let weight = weight
        .and_then(|weight| u32::try_from(weight).ok())
        .unwrap_or(1);
    Some(field.at(TargetSchema {
        provider: provider?,
        model,
        weight,
    }))
}

/// Prices in USD per million tokens, and `request` per request; what is not named is free,
/// but cached input costs what other input does.
fn price(field: &Field<'_>) -> Option<Price> {
    let mut table = field.table()?;
    let mut amount = |name| table.maybe(name, |field| field.usd(PRICE_NANO_MAX));
    let input = amount("input");
    let output = amount("output");
    let cached_input = amount("cached_input");
    let request = amount("request");
    table.close();
    let (input, output, cached_input, request) = (input?, output?, cached_input?, request?);
    // A table that names no price would make the model free by accident.
    if input.or(output).or(cached_input).or(request).is_none() {
        field.report(Problem::ListEmpty {
            example: "{ input = \"0.15\", output = \"0.60\" }",
        });
        return None;
    }
    let free = NanoUsd::default();
    Some(Price {
        input: input.unwrap_or(free),
        output: output.unwrap_or(free),
        cached_input: cached_input.or(input).unwrap_or(free),
        request: request.unwrap_or(free),
    })
}
