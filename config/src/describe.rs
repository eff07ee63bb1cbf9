//! The configuration in force, as JSON: defaults filled in, secrets hidden.
//!
//! Shaped like the file, so that what an operator reads is what an operator writes.
//! Of a key's digest only the beginning is shown: enough to tell two apart.

mod care;
mod rules;
mod store;

use serde_json::{Map, Value, json};

use crate::schema::gateway::{HOLD_MODES, ON_INSUFFICIENT};
use crate::snapshot::{
    ApiKey, Auth, BaseUrl, BucketId, CertificateFiles, Dialect, IoChoice, Meter, Model,
    OnMidstream, Provider, ServerTls, Service, Snapshot, TlsVersion, UpstreamProxy,
    UpstreamTimeouts, UpstreamTls,
};
use crate::value::show_duration;

/// Stands for a secret.
const HIDDEN: &str = "(hidden)";
/// Bytes of a digest that are shown.
const DIGEST_SHOWN_BYTES: usize = 4;

impl Snapshot {
    /// The effective configuration as JSON, with secrets hidden.
    pub fn describe_json(&self) -> String {
        let described = json!({
            "version": self.version,
            "server": self.describe_server(),
            "admin": {
                "listen": self.admin.listen,
                "token": self.admin.token.as_ref().map(|_| HIDDEN),
                "tls": self.admin.tls.as_ref().map(describe_files),
            },
            "store": self.store.as_ref().map(store::store),
            "timeouts": self.describe_timeouts(),
            "limits": {
                "head_bytes": self.limits.head_bytes,
                "head_fields": self.limits.head_fields,
                "target_bytes": self.limits.target_bytes,
                "body_bytes": self.limits.body_bytes,
                "body_rate_min": self.limits.body_rate_min,
                "connections": self.limits.connections,
                "connections_per_address": self.limits.connections_per_address,
                "requests_per_connection": self.limits.requests_per_connection,
                "handshakes": self.limits.handshakes,
                "memory": self.limits.memory,
            },
            "quota": {
                "tz": self.quota.calendar.zone_name(),
                "anchor": self.quota.calendar.anchor_text(),
                "hold": store::word(&HOLD_MODES, self.quota.hold),
                "on_insufficient": store::word(&ON_INSUFFICIENT, self.quota.on_insufficient),
                "on_midstream": match self.quota.on_midstream {
                    OnMidstream::Finish => "finish",
                    OnMidstream::Cut => "cut",
                },
            },
            "errors": {
                "exhausted_status": self.errors.exhausted_status,
                "top_up_url": self.errors.top_up_url,
                "expose_parent_amounts": self.errors.expose_parent_amounts,
            },
            "providers": by_name(&self.providers, |provider| {
                (&*provider.name, describe_provider(provider))
            }),
            "models": by_name(&self.models, |model| (&*model.name, self.describe_model(model))),
            "services": by_name(&self.services, |service| {
                (&*service.name, describe_service(service))
            }),
            "tenants": self.describe_tenants(),
        });
        serde_json::to_string_pretty(&described).expect("a JSON value always has a text")
    }

    fn describe_server(&self) -> Value {
        let mut server = json!({
            "listen": self.server.listen,
            "workers": self.server.workers,
            "io": io_word(self.server.io),
            "tls": self.server.tls.as_ref().map(describe_server_tls),
            "takeover": self.server.takeover,
            "proxy_protocol": self.server.proxy_protocol.as_ref().map(|balancers| {
                let trusted = balancers.trusted.iter().map(ToString::to_string);
                json!({ "trusted": trusted.collect::<Vec<_>>() })
            }),
        });
        rules::edge(&self.edge, &mut server);
        server
    }

    fn describe_timeouts(&self) -> Value {
        let timeouts = &self.timeouts;
        json!({
            "head": show_duration(timeouts.head),
            "body": show_duration(timeouts.body),
            "idle": show_duration(timeouts.idle),
            "write": show_duration(timeouts.write),
            "connect": show_duration(timeouts.connect),
            "first_byte": show_duration(timeouts.first_byte),
            "between_bytes": show_duration(timeouts.between_bytes),
            "drain": show_duration(timeouts.drain),
            "total": timeouts.total.map(show_duration),
        })
    }

    fn describe_model(&self, model: &Model) -> Value {
        let targets = model.targets.iter().map(|target| {
            json!({
                "provider": self.providers[target.provider.index()].name,
                "model": target.model,
                "weight": target.weight,
            })
        });
        let price = model.price.map(|price| {
            json!({
                "input": price.input.to_string(),
                "output": price.output.to_string(),
                "cached_input": price.cached_input.to_string(),
                "request": price.request.to_string(),
            })
        });
        let fallback = model
            .fallback
            .iter()
            .map(|id| &self.models[id.index()].name);
        json!({
            "targets": targets.collect::<Vec<_>>(),
            "balance": model.balance.word(),
            "retries": care::retries(model.retries),
            "fallback": fallback.collect::<Vec<_>>(),
            "downgrade": model.downgrade.map(|id| &self.models[id.index()].name),
            "price": price,
            "output_tokens_max": model.output_tokens_max,
            "context_tokens_max": model.context_tokens_max,
        })
    }

    fn describe_tenants(&self) -> Value {
        // One pass over the keys: a look through all of them per tenant would be quadratic.
        let mut keys: Vec<Vec<Value>> = vec![Vec::new(); self.tenants.len()];
        for key in &self.keys {
            keys[key.tenant.index()].push(self.describe_key(key));
        }
        let described = self.tenants.iter().zip(keys).map(|(tenant, keys)| {
            let facts = json!({
                "plan": tenant.plan,
                "suspended": tenant.suspended,
                "keys": keys,
            });
            (tenant.name.to_string(), facts)
        });
        described.collect::<Map<_, _>>().into()
    }

    fn describe_key(&self, key: &ApiKey) -> Value {
        let models = key.models.as_ref().map(|ids| {
            ids.iter()
                .map(|id| &self.models[id.index()].name)
                .collect::<Vec<_>>()
        });
        let services = key.services.as_ref().map(|ids| {
            ids.iter()
                .map(|id| &self.services[id.index()].name)
                .collect::<Vec<_>>()
        });
        json!({
            "name": key.name,
            "team": key.team.map(|team| &self.teams[team.index()].name),
            "sha256": show_digest(&key.digest),
            "disabled": key.disabled,
            "models": models,
            "services": services,
            "limits": key.path.iter().map(|id| self.describe_bucket(*id)).collect::<Vec<_>>(),
        })
    }

    fn describe_bucket(&self, id: BucketId) -> Value {
        let bucket = &self.buckets[id.index()];
        let mut described = json!({
            "scope": bucket.scope.word(),
            "scope_id": &*bucket.scope_id,
            "name": &*bucket.name,
        });
        if bucket.window.follows_calendar() {
            described["tz"] = json!(bucket.calendar.zone_name());
            described["anchor"] = json!(bucket.calendar.anchor_text());
        }
        described
    }
}

fn by_name<'s, T>(
    things: &'s [T],
    describe: impl Fn(&'s T) -> (&'s str, Value),
) -> Map<String, Value> {
    let described = things.iter().map(describe);
    described
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn describe_provider(provider: &Provider) -> Value {
    let described = json!({
        "dialect": match provider.dialect {
            Dialect::OpenAi => "openai",
        },
        "base_url": show_url(&provider.base),
        "api_keys": vec![HIDDEN; provider.api_keys.len()],
        "cancel_stops_billing": provider.cancel_stops_billing,
        "tls": describe_upstream_tls(&provider.tls),
        "proxy": provider.proxy.as_ref().map(show_proxy),
        "timeouts": upstream_timeouts(provider.timeouts),
    });
    care::with(&provider.care, described)
}

fn describe_service(service: &Service) -> Value {
    let mut described = json!({
        "path": if service.path.is_empty() { "/" } else { &*service.path },
        "upstreams": service.upstreams.iter().map(show_url).collect::<Vec<_>>(),
        "auth": match service.auth {
            Auth::Key => "key",
            Auth::None => "none",
        },
        "meter": match service.meter {
            Meter::Requests => "requests",
            Meter::Bytes => "bytes",
            Meter::Fixed => "fixed",
            Meter::None => "none",
        },
        "price": {
            "request": service.price.request.to_string(),
            "megabyte": service.price.megabyte.to_string(),
        },
        "timeouts": upstream_timeouts(service.timeouts),
        "tls": describe_upstream_tls(&service.tls),
        "proxy": service.proxy.as_ref().map(show_proxy),
        "balance": service.balance.word(),
        "retries": care::retries(service.retries),
    });
    rules::rules(&service.rules, &mut described);
    care::with(&service.care, described)
}

fn describe_files(files: &CertificateFiles) -> Value {
    json!({
        "certificate": files.certificate,
        "private_key": files.private_key,
        "ocsp": files.ocsp,
    })
}

fn describe_server_tls(tls: &ServerTls) -> Value {
    let mut described = describe_files(&tls.certificates[0]);
    let more = tls.certificates[1..].iter().map(describe_files);
    described["more"] = more.collect();
    if let Some(clients) = &tls.clients {
        described["client_ca"] = json!(clients.ca);
        let auth = if clients.required {
            "required"
        } else {
            "optional"
        };
        described["client_auth"] = json!(auth);
    }
    described["min_version"] = json!(match tls.oldest {
        TlsVersion::Tls12 => "1.2",
        TlsVersion::Tls13 => "1.3",
    });
    described
}

fn describe_upstream_tls(tls: &UpstreamTls) -> Value {
    json!({
        "ca": tls.ca,
        "certificate": tls.identity.as_ref().map(|files| &files.certificate),
        "private_key": tls.identity.as_ref().map(|files| &files.private_key),
        "server_name": tls.server_name,
    })
}

fn upstream_timeouts(timeouts: UpstreamTimeouts) -> Value {
    json!({
        "connect": show_duration(timeouts.connect),
        "first_byte": show_duration(timeouts.first_byte),
        "between_bytes": show_duration(timeouts.between_bytes),
        "total": timeouts.total.map(show_duration),
    })
}

const fn io_word(io: IoChoice) -> &'static str {
    match io {
        IoChoice::Auto => "auto",
        IoChoice::IoUring => "io_uring",
        IoChoice::Epoll => "epoll",
    }
}

fn show_url(base: &BaseUrl) -> String {
    if let Some(socket) = &base.socket {
        return match base.path.is_empty() {
            true => format!("unix:{socket}"),
            false => format!("unix:{socket}:{}", base.path),
        };
    }
    let scheme = if base.tls { "https" } else { "http" };
    format!("{scheme}://{}{}", base.authority, base.path)
}

fn show_proxy(proxy: &UpstreamProxy) -> String {
    let user = match &proxy.credentials {
        Some(_) => format!("{HIDDEN}@"),
        None => String::new(),
    };
    format!("http://{user}{}", proxy.authority)
}

fn show_digest(digest: &[u8; 32]) -> String {
    let shown = &digest[..DIGEST_SHOWN_BYTES];
    shown
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        + "…"
}
