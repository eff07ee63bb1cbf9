//! The configuration file of one test, as text.
//!
//! Sections that most tests share have defaults here (ephemeral ports, two workers, short
//! timeouts); whatever a test is about it writes itself, in the language of the file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// The operator's token in every test's file.
pub const ADMIN_TOKEN: &str = "an-operator-token-for-tests-0123456789";
/// What the gateway shows its provider.
pub const PROVIDER_KEY: &str = "sk-the-providers-own-key";
/// The key of tenant `acme` in [`Site::with_acme`].
pub const ACME: &str = "tr_acme_0123456789abcdef";

/// A configuration file in the making.
#[derive(Clone)]
pub struct Site {
    sections: BTreeMap<&'static str, BTreeMap<String, String>>,
    text: String,
}

impl Site {
    /// A file without providers, models or tenants.
    pub fn new() -> Self {
        let mut site = Self {
            sections: BTreeMap::new(),
            text: String::new(),
        };
        for (section, name, value) in [
            ("server", "listen", r#"["127.0.0.1:0"]"#),
            ("server", "workers", "2"),
            ("admin", "listen", r#""127.0.0.1:0""#),
            // Within the descriptors an ordinary shell allows.
            ("limits", "connections", "4000"),
            ("errors", "expose_parent_amounts", "true"),
        ] {
            site = site.set(section, name, value);
        }
        site.set("admin", "token", &format!("{ADMIN_TOKEN:?}"))
    }

    /// One provider `main`, one model `m` that it calls `m-upstream` (1 and 2 USD per
    /// million tokens in and out), tenant `acme` with key [`ACME`] and limits nothing
    /// reaches: 1,000 requests, a million tokens, 100 USD.
    pub fn with_acme(provider_url: &str) -> Self {
        Self::new()
            .provider("main", provider_url)
            .model("m", "main")
            .tenant("acme", "")
            .key("acme", "bot", ACME, AMPLE)
    }

    /// Sets one value of a section, as the file would have it.
    pub fn set(mut self, section: &'static str, name: &str, value: &str) -> Self {
        self.sections
            .entry(section)
            .or_default()
            .insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds text as it is.
    pub fn raw(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self.text.push('\n');
        self
    }

    /// Adds an account with an OpenAI-like provider at `url`, a base without `/v1`.
    pub fn provider(self, name: &str, url: &str) -> Self {
        self.provider_with(name, url, "")
    }

    /// The same with more lines in its table.
    pub fn provider_with(self, name: &str, url: &str, lines: &str) -> Self {
        self.raw(&format!(
            "[providers.{name}]\ndialect = \"openai\"\nbase_url = \"{url}/v1\"\n\
             api_keys = [\"{PROVIDER_KEY}\"]\n{lines}"
        ))
    }

    /// Adds a priced model that `provider` calls by the same name and `-upstream`.
    pub fn model(self, name: &str, provider: &str) -> Self {
        let target = format!("{{ provider = \"{provider}\", model = \"{name}-upstream\" }}");
        self.model_with(
            name,
            &target,
            "price = { input = \"1.00\", output = \"2.00\" }",
        )
    }

    /// Adds a model with the given targets and more lines in its table.
    pub fn model_with(self, name: &str, targets: &str, lines: &str) -> Self {
        self.raw(&format!(
            "[models.{name:?}]\ntargets = [{targets}]\n{lines}"
        ))
    }

    /// Adds a tenant with the given lines in its table.
    pub fn tenant(self, name: &str, lines: &str) -> Self {
        self.raw(&format!("[tenants.{name}]\n{lines}"))
    }

    /// Adds a key to the tenant added last.
    pub fn key(self, tenant: &str, name: &str, secret: &str, lines: &str) -> Self {
        let digest = sha256_hex(secret);
        self.raw(&format!(
            "[[tenants.{tenant}.keys]]\nname = \"{name}\"\nsha256 = \"{digest}\"\n{lines}"
        ))
    }

    /// Adds a REST service without key and price, which nothing else counts.
    pub fn open_service(self, name: &str, path: &str, upstream: &str) -> Self {
        self.raw(&format!(
            "[services.{name}]\npath = \"{path}\"\nupstreams = [\"{upstream}\"]\n\
             auth = \"none\"\nmeter = \"none\""
        ))
    }

    /// Adds a REST service without key and price, with more lines in its table.
    pub fn service_with(self, name: &str, path: &str, upstream: &str, lines: &str) -> Self {
        self.open_service(name, path, upstream).raw(lines)
    }

    /// The file.
    pub fn text(&self) -> String {
        let mut file = String::new();
        for (section, values) in &self.sections {
            writeln!(file, "[{section}]").expect("a string takes everything");
            for (name, value) in values {
                writeln!(file, "{name} = {value}").expect("a string takes everything");
            }
        }
        file + &self.text
    }
}

/// Limits that no test reaches by accident.
pub const AMPLE: &str = r#"limits = [
  { unit = "requests", amount = 1_000, per = "total" },
  { unit = "tokens", amount = 1_000_000, per = "total" },
  { unit = "usd", amount = "100", per = "total" },
]"#;

/// The only form in which a file names a key.
pub fn sha256_hex(secret: &str) -> String {
    Sha256::digest(secret.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
