//! What is publicly known of models: prices, and the most they read and write.
//!
//! Fills in what the file leaves out, and only for a provider that is known by its
//! name or its host: a self-hosted model with a famous name is not billed as the
//! famous one. Read once, when the first file leaves something out; never on the
//! path of a request. Source and licence of the data are in `data/README.md`.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::limits::PRICE_NANO_MAX;
use crate::snapshot::Price;
use crate::units::NanoUsd;
use crate::value::{parse_url, parse_usd};

const DATA: &str = include_str!("../data/models.json");

/// Hosts of providers whose client libraries know them, so that the data does not.
const HOSTS: [(&str, &str); 8] = [
    ("api.openai.com", "openai"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "google"),
    ("api.mistral.ai", "mistral"),
    ("api.groq.com", "groq"),
    ("api.x.ai", "xai"),
    ("api.together.xyz", "togetherai"),
    ("api.perplexity.ai", "perplexity"),
];

/// What is known of one model of one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) price: Option<Price>,
    pub(crate) output_tokens_max: Option<u64>,
    pub(crate) context_tokens_max: Option<u64>,
}

/// What is known of a provider's model; the provider by its name in the file, else by its host.
pub(crate) fn look_up(provider: &str, host: &str, model: &str) -> Option<Listed> {
    let catalogue = catalogue();
    let models = catalogue
        .providers
        .get(provider)
        .or_else(|| catalogue.providers.get(*catalogue.by_host.get(host)?))?;
    models.get(model).copied()
}

/// The data, indexed.
struct Catalogue {
    providers: HashMap<&'static str, HashMap<&'static str, Listed>>,
    /// The provider's name by its host.
    by_host: HashMap<String, &'static str>,
}

fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        let data: Data =
            serde_json::from_str(DATA).expect("the catalogue is compiled in, and a test reads it");
        let mut by_host: HashMap<_, _> = HOSTS
            .into_iter()
            .map(|(host, name)| (host.to_owned(), name))
            .collect();
        for (name, provider) in &data.providers {
            // An address with a variable in it is not one yet; such are known by name alone.
            if let Some(Ok(url)) = provider.api.map(parse_url) {
                by_host.insert(url.base.host.into(), name);
            }
        }
        let listed = |(name, model): (_, ModelData)| (name, model.listed());
        let providers = data
            .providers
            .into_iter()
            .map(|(name, provider)| (name, provider.models.into_iter().map(listed).collect()))
            .collect();
        Catalogue { providers, by_host }
    })
}

/// The file of the data; fields beyond these are not read.
#[derive(Deserialize)]
struct Data {
    #[serde(borrow)]
    providers: HashMap<&'static str, ProviderData>,
}

/// A provider in the data.
#[derive(Deserialize)]
struct ProviderData {
    api: Option<&'static str>,
    models: HashMap<&'static str, ModelData>,
}

/// A model in the data; 0 stands for "not known" or "none".
#[derive(Deserialize)]
struct ModelData {
    context: u64,
    output: u64,
    usd_per_million_tokens: Option<PriceData>,
}

/// Prices in the data. Those of long contexts, audio and reasoning are left aside: a price here
/// has no tiers, and reasoning is counted as output.
#[derive(Deserialize)]
struct PriceData {
    input: String,
    output: String,
    cache_read: Option<String>,
}

impl ModelData {
    fn listed(&self) -> Listed {
        Listed {
            price: self
                .usd_per_million_tokens
                .as_ref()
                .and_then(PriceData::price),
            output_tokens_max: Some(self.output).filter(|tokens| *tokens > 0),
            context_tokens_max: Some(self.context).filter(|tokens| *tokens > 0),
        }
    }
}

impl PriceData {
    fn price(&self) -> Option<Price> {
        let usd = |text: &str| parse_usd(text, PRICE_NANO_MAX).ok();
        let input = usd(&self.input)?;
        Some(Price {
            input,
            output: usd(&self.output)?,
            cached_input: self.cache_read.as_deref().map_or(Some(input), usd)?,
            request: NanoUsd::default(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_known_by_its_name_or_its_host() {
        let by_name = look_up("openai", "127.0.0.1", "gpt-4o-mini").unwrap();
        let price = by_name.price.unwrap();
        assert_eq!(price.input, NanoUsd(150_000_000));
        assert_eq!(price.output, NanoUsd(600_000_000));
        assert_eq!(price.cached_input, NanoUsd(75_000_000));
        assert_eq!(by_name.output_tokens_max, Some(16_384));
        assert_eq!(by_name.context_tokens_max, Some(128_000));
        assert_eq!(
            look_up("main", "api.openai.com", "gpt-4o-mini"),
            Some(by_name)
        );
        assert!(look_up("main", "api.deepseek.com", "deepseek-chat").is_some());
    }

    #[test]
    fn a_stranger_with_a_famous_model_is_not_priced() {
        assert_eq!(look_up("local", "127.0.0.1", "gpt-4o-mini"), None);
        assert_eq!(look_up("openai", "127.0.0.1", "home-made"), None);
    }

    #[test]
    fn every_price_in_the_data_can_be_read() {
        let data: Data = serde_json::from_str(DATA).unwrap();
        for (name, provider) in data.providers {
            for (model, facts) in provider.models {
                let stated = facts.usd_per_million_tokens.is_some();
                assert_eq!(stated, facts.listed().price.is_some(), "{name} {model}");
            }
        }
    }
}
