//! Plans, tenants and keys: who may call, and how much.

use crate::fault::Problem;
use crate::limits::{
    KEYS_MAX, LIMITS_MAX, MODELS_MAX, SERVICES_MAX, TEAM_LIMITS_MAX, TEAMS_MAX, USD_NANO_MAX,
};
use crate::read::{At, Entry, Field, Table};
use crate::schema::limit::{CalendarSchema, LimitSchema, calendar, limits};
use crate::units::NanoUsd;
use crate::value::{parse_digest, parse_model_name, parse_name, parse_subject};

/// `[plans.…]`.
pub(crate) struct PlanSchema {
    pub(crate) limits: Vec<LimitSchema>,
    pub(crate) calendar: CalendarSchema,
    pub(crate) offer: OfferSchema,
}

/// `[tenants.…]`.
pub(crate) struct TenantSchema {
    pub(crate) plan: Option<At<Box<str>>>,
    pub(crate) balance: Option<NanoUsd>,
    pub(crate) suspended: bool,
    pub(crate) limits: Vec<LimitSchema>,
    pub(crate) calendar: CalendarSchema,
    pub(crate) teams: Vec<Entry<TeamSchema>>,
    pub(crate) keys: Vec<KeySchema>,
}

/// One of `teams`.
pub(crate) struct TeamSchema {
    pub(crate) limits: Vec<LimitSchema>,
}

/// One of `keys`.
pub(crate) struct KeySchema {
    pub(crate) name: Option<At<Box<str>>>,
    pub(crate) digest: Option<At<[u8; 32]>>,
    pub(crate) team: Option<At<Box<str>>>,
    pub(crate) disabled: bool,
    pub(crate) limits: Vec<LimitSchema>,
    pub(crate) offer: OfferSchema,
}

/// What may be asked for: the fields `models` and `services`; an absent one means all.
pub(crate) struct OfferSchema {
    pub(crate) models: Option<Vec<At<Box<str>>>>,
    pub(crate) services: Option<Vec<At<Box<str>>>>,
}

pub(crate) fn plan(mut table: Table<'_>) -> Option<PlanSchema> {
    let limits = limits(&mut table, LIMITS_MAX);
    let calendar = calendar(&mut table);
    let offer = offer(&mut table);
    table.close();
    Some(PlanSchema {
        limits,
        calendar,
        offer,
    })
}

pub(crate) fn tenant(mut table: Table<'_>) -> Option<TenantSchema> {
    let plan = table.maybe("plan", |field| field.parsed_at(parse_name));
    let balance = table.maybe("balance", |field| field.usd(USD_NANO_MAX));
    let suspended = table.or("suspended", false, Field::flag);
    let limits = limits(&mut table, LIMITS_MAX);
    let calendar = calendar(&mut table);
    let teams = table.named("teams", TEAMS_MAX, parse_name, team);
    let keys = table.or("keys", Vec::new(), |field| {
        field.list(KEYS_MAX, |item| item.table().and_then(key))
    });
    table.close();
    Some(TenantSchema {
        plan: plan.flatten(),
        balance: balance.flatten(),
        suspended: suspended.unwrap_or_default(),
        limits,
        calendar,
        teams,
        keys: keys.unwrap_or_default(),
    })
}

fn team(mut table: Table<'_>) -> Option<TeamSchema> {
    let limits = limits(&mut table, TEAM_LIMITS_MAX);
    table.close();
    Some(TeamSchema { limits })
}

fn key(mut table: Table<'_>) -> Option<KeySchema> {
    let name = table.need("name", "name = \"build-bot\"", |field| {
        field.parsed_at(parse_name)
    });
    let sent = table.maybe("sha256", |field| field.parsed_at(parse_digest));
    let shown = table.maybe("subject", |field| field.parsed_at(parse_subject));
    let digest = match (sent, shown) {
        (Some(Some(digest)), Some(None)) | (Some(None), Some(Some(digest))) => Some(digest),
        // What is faulty has been reported.
        (None, _) | (_, None) => None,
        (Some(_), Some(_)) => {
            table.report(Problem::KeyShape);
            None
        }
    };
    let team = table.maybe("team", |field| field.parsed_at(parse_name));
    let disabled = table.or("disabled", false, Field::flag);
    let limits = limits(&mut table, LIMITS_MAX);
    let offer = offer(&mut table);
    table.close();
    Some(KeySchema {
        name,
        digest,
        team: team.flatten(),
        disabled: disabled.unwrap_or_default(),
        limits,
        offer,
    })
}

fn offer(table: &mut Table<'_>) -> OfferSchema {
    let models = table.maybe("models", |field| {
        field.list(MODELS_MAX, |item| item.parsed_at(parse_model_name))
    });
    let services = table.maybe("services", |field| {
        field.list(SERVICES_MAX, |item| item.parsed_at(parse_name))
    });
    OfferSchema {
        models: models.flatten(),
        services: services.flatten(),
    }
}
