//! The setting most refusals need: a gateway in front of a provider that would answer.

use serde_json::{Value, json};

use super::message::{Answer, Request};
use super::openai::{self, CHAT};
use super::{Gateway, Provider, Site};

/// A gateway in front of a provider that answers everything, and asks to be counted.
pub struct Stage {
    /// The gateway.
    pub gateway: Gateway,
    /// The provider.
    pub provider: Provider,
}

impl Stage {
    pub fn new(change: impl FnOnce(Site) -> Site) -> Self {
        let provider = Provider::answering(|_| openai::answer_using(11, 7));
        let gateway = Gateway::start(&change(Site::with_acme(&provider.url())));
        Self { gateway, provider }
    }

    /// The same, with tenant `poor` whose key `tr_poor` has these limits.
    pub fn with_poor(limits: &str) -> Self {
        Self::new(|site| {
            site.tenant("poor", "")
                .key("poor", "bot", "tr_poor", limits)
        })
    }

    #[track_caller]
    pub fn ask(&self, key: &str, model: &str, extra: Value) -> Answer {
        self.gateway
            .ask(&Request::post(CHAT, openai::chat(model, extra)).key(key))
    }

    #[track_caller]
    pub fn chat(&self, key: &str) -> Answer {
        self.ask(key, "m", json!({ "max_tokens": 10 }))
    }

    /// Sends a head with nothing right about it but the framing of the one fault.
    #[track_caller]
    pub fn raw(&self, bytes: &str) -> Answer {
        let mut client = self.gateway.client();
        client.send(bytes);
        client.answer()
    }

    #[track_caller]
    pub fn nothing_reached_the_provider(&self) {
        assert_eq!(
            self.provider.calls_total(),
            0,
            "a refused request reached the provider"
        );
    }
}
