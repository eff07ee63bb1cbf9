//! Providers and REST services: where requests go.

use std::time::Duration;

use crate::care::{Balance, Care, Retries};
use crate::fault::{IdleReason, Problem};
use crate::limits::{API_KEYS_MAX, PRICE_NANO_MAX, UPSTREAMS_MAX};
use crate::read::{At, Field, Table};
use crate::schema::care::{balance, care, retries};
use crate::schema::rules::{RulesSchema, rules};
use crate::schema::tls;
use crate::secret::Secret;
use crate::snapshot::{
    Auth, BaseUrl, Dialect, Meter, ServicePrice, Timeouts, UpstreamProxy, UpstreamTimeouts,
    UpstreamTls,
};
use crate::value::{WrittenProxy, parse_duration, parse_prefix, parse_proxy, parse_url};

/// `[providers.…]`.
pub(crate) struct ProviderSchema {
    pub(crate) dialect: Dialect,
    pub(crate) base: BaseUrl,
    pub(crate) api_keys: Vec<Secret>,
    pub(crate) timeouts: TimeoutsSchema,
    pub(crate) cancel_stops_billing: bool,
    pub(crate) tls: UpstreamTls,
    pub(crate) proxy: Option<UpstreamProxy>,
    pub(crate) care: Care,
}

/// `[services.…]`.
pub(crate) struct ServiceSchema {
    pub(crate) path: Option<At<Box<str>>>,
    pub(crate) upstreams: Vec<At<BaseUrl>>,
    pub(crate) balance: Balance,
    pub(crate) retries: Retries,
    pub(crate) care: Care,
    pub(crate) auth: Auth,
    pub(crate) meter: Meter,
    pub(crate) price: ServicePrice,
    pub(crate) timeouts: TimeoutsSchema,
    pub(crate) tls: UpstreamTls,
    pub(crate) proxy: Option<UpstreamProxy>,
    pub(crate) rules: RulesSchema,
}

/// The deadlines that a provider or service sets for itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct TimeoutsSchema {
    connect: Option<Duration>,
    first_byte: Option<Duration>,
    between_bytes: Option<Duration>,
    total: Option<Duration>,
}

impl TimeoutsSchema {
    /// These deadlines, and the gateway's where these are silent.
    pub(crate) fn over(self, gateway: &Timeouts) -> UpstreamTimeouts {
        UpstreamTimeouts {
            connect: self.connect.unwrap_or(gateway.connect),
            first_byte: self.first_byte.unwrap_or(gateway.first_byte),
            between_bytes: self.between_bytes.unwrap_or(gateway.between_bytes),
            total: self.total.or(gateway.total),
        }
    }
}

pub(crate) fn provider(mut table: Table<'_>) -> Option<ProviderSchema> {
    let dialect = table.need("dialect", "dialect = \"openai\"", |field| {
        field.word(&[("openai", Dialect::OpenAi)])
    });
    let open = Open::read(&mut table);
    let base = table.need(
        "base_url",
        "base_url = \"http://127.0.0.1:9000/v1\"",
        |field| open.base_url(field),
    );
    let api_keys = table.or("api_keys", Vec::new(), |field| {
        field.list(API_KEYS_MAX, Field::secret)
    });
    let cancel_stops_billing = table.or("cancel_stops_billing", true, Field::flag);
    let timeouts = table.section("timeouts", timeouts);
    let bases = base.as_ref().map(std::slice::from_ref);
    let tls = upstream_tls(&mut table, bases);
    let proxy = open.proxy(&mut table, bases);
    let care = care(&mut table);
    table.close();
    Some(ProviderSchema {
        dialect: dialect?,
        base: base?.value,
        api_keys: api_keys?,
        timeouts: timeouts?,
        cancel_stops_billing: cancel_stops_billing?,
        tls: tls?,
        proxy: proxy?,
        care: care?,
    })
}

pub(crate) fn service(mut table: Table<'_>) -> Option<ServiceSchema> {
    let path = table.need("path", "path = \"/weather\"", |field| {
        field.parsed_at(parse_prefix)
    });
    let open = Open::read(&mut table);
    let example = "upstreams = [\"http://127.0.0.1:9000\"]";
    let upstreams = table.need("upstreams", example, |field| {
        field.filled_list(UPSTREAMS_MAX, example, |item| open.base_url(item))
    });
    let auth = table.or("auth", Auth::Key, |field| {
        field.word(&[("key", Auth::Key), ("none", Auth::None)])
    });
    let meter = table.or("meter", Meter::Requests, |field| {
        field.word(&[
            ("requests", Meter::Requests),
            ("bytes", Meter::Bytes),
            ("fixed", Meter::Fixed),
            ("none", Meter::None),
        ])
    });
    let price = table.section("price", |table| price(table, auth, meter));
    let timeouts = table.section("timeouts", timeouts);
    let tls = upstream_tls(&mut table, upstreams.as_deref());
    let proxy = open.proxy(&mut table, upstreams.as_deref());
    let rules = rules(&mut table);
    // Upstreams of one service are meant to be alike, so the least busy one is as good as any
    // and sooner free; targets of a model differ in price, and their weights are kept to.
    let balance = balance(&mut table, Balance::LeastRequest);
    let retries = retries(&mut table);
    let care = care(&mut table);
    table.close();
    Some(ServiceSchema {
        path,
        upstreams: upstreams.unwrap_or_default(),
        balance: balance.unwrap_or(Balance::LeastRequest),
        retries: retries.unwrap_or_default(),
        care: care.unwrap_or_default(),
        auth: auth.unwrap_or(Auth::Key),
        meter: meter.unwrap_or(Meter::Requests),
        price: price.unwrap_or_default(),
        timeouts: timeouts.unwrap_or_default(),
        tls: tls.unwrap_or_default(),
        proxy: proxy.unwrap_or_default(),
        rules,
    })
}

/// `tls` below an upstream; it means nothing where no URL is `https`. Faulty URLs have been
/// reported, and may have been meant so.
fn upstream_tls(table: &mut Table<'_>, bases: Option<&[At<BaseUrl>]>) -> Option<UpstreamTls> {
    let Some(field) = table.take("tls") else {
        return Some(UpstreamTls::default());
    };
    if bases.is_some_and(|bases| !bases.iter().any(|base| base.value.tls)) {
        field.report(Problem::Idle {
            needs: "an https:// URL",
        });
    }
    field.table().and_then(tls::upstream)
}

/// What decides whether a URL may be reached as it is written; `None` is what was faulty, has
/// been reported, and is not held against anything else.
struct Open {
    insecure: Option<bool>,
    proxy: Option<Option<WrittenProxy>>,
}

impl Open {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            insecure: table.or("insecure", false, Field::flag),
            proxy: table.maybe("proxy", |field| {
                field.hide();
                field.parsed(parse_proxy)
            }),
        }
    }

    /// A base URL that may be reached as it is written. Through a proxy on another machine even
    /// a loopback address is of another machine.
    fn base_url(&self, field: &Field<'_>) -> Option<At<BaseUrl>> {
        field.parsed_at(|text| {
            let url = parse_url(text)?;
            let proxied = url.base.socket.is_none();
            let stays = match &self.proxy {
                Some(Some(proxy)) if proxied => url.loopback && proxy.loopback,
                Some(_) => url.loopback,
                None => true,
            };
            if url.base.tls || stays || self.insecure.unwrap_or(true) {
                return Ok(url.base);
            }
            Err(Problem::UrlCleartext)
        })
    }

    /// The proxy; it means nothing where every URL is a socket of this machine.
    fn proxy(
        self,
        table: &mut Table<'_>,
        bases: Option<&[At<BaseUrl>]>,
    ) -> Option<Option<UpstreamProxy>> {
        let proxy = self.proxy?.map(|written| written.proxy);
        let local = bases.is_some_and(|bases| bases.iter().all(|base| base.value.socket.is_some()));
        if let Some(field) = table.take("proxy").filter(|_| local) {
            field.report(Problem::Idle {
                needs: "an http:// or https:// URL",
            });
        }
        Some(proxy)
    }
}

fn timeouts(mut table: Table<'_>) -> Option<TimeoutsSchema> {
    let mut deadline = |name| table.maybe(name, |field| field.parsed(parse_duration));
    let connect = deadline("connect");
    let first_byte = deadline("first_byte");
    let between_bytes = deadline("between_bytes");
    let total = deadline("total");
    table.close();
    Some(TimeoutsSchema {
        connect: connect?,
        first_byte: first_byte?,
        between_bytes: between_bytes?,
        total: total?,
    })
}

/// What a service costs; a price that its meter never charges is a fault, not a surprise.
fn price(mut table: Table<'_>, auth: Option<Auth>, meter: Option<Meter>) -> Option<ServicePrice> {
    let mut amount = |name, charged: bool| {
        table.or(name, Default::default(), |field| {
            let amount = field.usd(PRICE_NANO_MAX)?;
            let why = match (auth, charged) {
                (Some(Auth::None), _) => IdleReason::NoKey,
                (_, false) => IdleReason::NotMetered,
                _ => return Some(amount),
            };
            if amount.0 == 0 {
                return Some(amount);
            }
            field.report(Problem::PriceIdle { why });
            None
        })
    };
    // A faulty meter has been reported: assume that it counts everything.
    let request = amount("request", meter != Some(Meter::None));
    let megabyte = amount("megabyte", meter.is_none_or(|meter| meter == Meter::Bytes));
    table.close();
    Some(ServicePrice {
        request: request?,
        megabyte: megabyte?,
    })
}
