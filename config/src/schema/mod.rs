//! The file as it was written: every field by its name, its type and its bounds.
//!
//! One reader per table, in the order of the file's documentation. What can be
//! judged by looking at one table is judged here; what needs two, in `validate`.
//!
//! Each reader asks for all of its fields, and only then gives up on a faulty one
//! with `?`; where `validate` has something to check all the same, a default takes
//! the place of what is faulty. Neither can reach a snapshot: a fault anywhere
//! withholds it.

pub(crate) mod care;
pub(crate) mod edge;
pub(crate) mod gateway;
pub(crate) mod limit;
pub(crate) mod models;
pub(crate) mod rules;
pub(crate) mod store;
pub(crate) mod tenants;
pub(crate) mod tls;
pub(crate) mod upstreams;

use crate::limits::{MODELS_MAX, PLANS_MAX, PROVIDERS_MAX, SERVICES_MAX, TENANTS_MAX};
use crate::read::{Entry, Table};
use crate::snapshot::{ErrorsPolicy, Limits, QuotaPolicy, Store, Timeouts};
use crate::value::{parse_model_name, parse_name};

/// Everything that was written; a section is `None` if it was faulty.
pub(crate) struct Schema {
    pub(crate) server: Option<gateway::ServerSchema>,
    pub(crate) admin: Option<gateway::AdminSchema>,
    /// The inner is `None` where the file has no such table.
    pub(crate) store: Option<Option<Store>>,
    pub(crate) timeouts: Option<Timeouts>,
    pub(crate) limits: Option<Limits>,
    pub(crate) quota: Option<QuotaPolicy>,
    pub(crate) errors: Option<ErrorsPolicy>,
    pub(crate) providers: Vec<Entry<upstreams::ProviderSchema>>,
    pub(crate) models: Vec<Entry<models::ModelSchema>>,
    pub(crate) services: Vec<Entry<upstreams::ServiceSchema>>,
    pub(crate) plans: Vec<Entry<tenants::PlanSchema>>,
    pub(crate) tenants: Vec<Entry<tenants::TenantSchema>>,
}

impl Schema {
    /// Reads the whole document.
    pub(crate) fn read(mut root: Table<'_>) -> Self {
        let server = root.section("server", gateway::server);
        let admin = root.section("admin", gateway::admin);
        let store = root.maybe("store", |field| field.table().and_then(store::store));
        let providers = root.named("providers", PROVIDERS_MAX, parse_name, upstreams::provider);
        let models = root.named("models", MODELS_MAX, parse_model_name, models::model);
        let services = root.named("services", SERVICES_MAX, parse_name, upstreams::service);
        let timeouts = root.section("timeouts", gateway::timeouts);
        let limits = root.section("limits", gateway::limits);
        let quota = root.section("quota", gateway::quota);
        let errors = root.section("errors", gateway::errors);
        let plans = root.named("plans", PLANS_MAX, parse_name, tenants::plan);
        let tenants = root.named("tenants", TENANTS_MAX, parse_name, tenants::tenant);
        root.close();
        Self {
            server,
            admin,
            store,
            timeouts,
            limits,
            quota,
            errors,
            providers,
            models,
            services,
            plans,
            tenants,
        }
    }
}
