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
    Auth, BaseUrl, Dialect, Meter, ServicePrice, Timeouts, UpstreamTimeouts, UpstreamTls,
};
use crate::value::{parse_duration, parse_prefix, parse_url};

/// `[providers.…]`.
pub(crate) struct ProviderSchema {
    pub(crate) dialect: Dialect,
    pub(crate) base: BaseUrl,
    pub(crate) api_keys: Vec<Secret>,
    pub(crate) timeouts: TimeoutsSchema,
    pub(crate) cancel_stops_billing: bool,
    pub(crate) tls: UpstreamTls,
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
    let insecure = table.or("insecure", false, Field::flag);
    let base = table.need(
        "base_url",
        "base_url = \"http://127.0.0.1:9000/v1\"",
        |field| base_url(field, insecure),
    );
    let api_keys = table.or("api_keys", Vec::new(), |field| {
        field.list(API_KEYS_MAX, Field::secret)
    });
    let cancel_stops_billing = table.or("cancel_stops_billing", true, Field::flag);
    let timeouts = table.section("timeouts", timeouts);
    let encrypted = base.as_ref().is_none_or(|base| base.value.tls);
    let tls = upstream_tls(&mut table, encrypted);
    let care = care(&mut table);
    table.close();
    Some(ProviderSchema {
        dialect: dialect?,
        base: base?.value,
        api_keys: api_keys?,
        timeouts: timeouts?,
        cancel_stops_billing: cancel_stops_billing?,
        tls: tls?,
        care: care?,
    })
}

pub(crate) fn service(mut table: Table<'_>) -> Option<ServiceSchema> {
    let path = table.need("path", "path = \"/weather\"", |field| {
        field.parsed_at(parse_prefix)
    });
    let insecure = table.or("insecure", false, Field::flag);
    let example = "upstreams = [\"http://127.0.0.1:9000\"]";
    let upstreams = table.need("upstreams", example, |field| {
        field.filled_list(UPSTREAMS_MAX, example, |item| base_url(item, insecure))
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
    let encrypted = upstreams
        .as_ref()
        .is_none_or(|upstreams| upstreams.iter().any(|upstream| upstream.value.tls));
    let tls = upstream_tls(&mut table, encrypted);
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
        rules,
    })
}

/// `tls` below an upstream; it means nothing where no URL is `https`.
fn upstream_tls(table: &mut Table<'_>, encrypted: bool) -> Option<UpstreamTls> {
    let Some(field) = table.take("tls") else {
        return Some(UpstreamTls::default());
    };
    if !encrypted {
        field.report(Problem::TlsIdle {
            needs: "an https:// URL",
        });
    }
    field.table().and_then(tls::upstream)
}

/// A base URL that may be reached as it is written.
fn base_url(field: &Field<'_>, insecure: Option<bool>) -> Option<At<BaseUrl>> {
    field.parsed_at(|text| {
        let url = parse_url(text)?;
        // A faulty `insecure` has been reported, and is not reported again here.
        if url.base.tls || url.loopback || insecure.unwrap_or(true) {
            return Ok(url.base);
        }
        Err(Problem::UrlCleartext)
    })
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
