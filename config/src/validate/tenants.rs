//! Tenants and keys: plans found, digests unique, every limit a bucket with a lasting identity.

use std::collections::{HashMap, hash_map};

use crate::digest::ByDigest;
use crate::fault::Problem;
use crate::limits::KEYS_MAX;
use crate::read::{Document, Entry, Place};
use crate::schema::limit::LimitSchema;
use crate::schema::tenants::{KeySchema, PlanSchema, TenantSchema};
use crate::snapshot::{ApiKey, BucketId, BucketSpec, KeyId, ModelId, ServiceId, Tenant, TenantId};
use crate::units::{LimitClass, NanoUsd, Scope, Unit, Window};
use crate::validate::names::{Names, report_repeated};
use crate::validate::offers::{Offer, Offers, PlanOffer};

/// The part of the snapshot that this room builds.
#[derive(Default)]
pub(super) struct Tenants {
    pub(super) tenants: Vec<Tenant>,
    pub(super) keys: Vec<ApiKey>,
    pub(super) buckets: Vec<BucketSpec>,
    pub(super) key_by_digest: ByDigest<KeyId>,
}

/// A plan, its references found.
struct Plan<'s> {
    name: &'s str,
    limits: &'s [LimitSchema],
    offer: Offer,
}

/// Checks every plan, tenant and key.
///
/// What is built is only complete if nothing was reported, which the caller asks.
pub(super) fn check(
    document: &Document<'_>,
    plans: &[Entry<PlanSchema>],
    tenants: &[Entry<TenantSchema>],
    offers: &Offers<'_>,
) -> Option<Tenants> {
    let plan_names = Names::of("plan", plans);
    let plans: Vec<_> = plans
        .iter()
        .map(|entry| {
            let written = entry.body.as_ref()?;
            report_repeated_limits(document, &[], &written.limits);
            let offer = offers.find(&written.offer, None);
            Some(Plan {
                name: &entry.name.value,
                limits: &written.limits,
                offer,
            })
        })
        .collect();

    let digests = tenants
        .iter()
        .filter_map(|entry| entry.body.as_ref())
        .flat_map(|tenant| {
            let digests = tenant.keys.iter().filter_map(|key| key.digest.as_ref());
            digests.map(|digest| (digest.value, &digest.place))
        });
    report_repeated(document, digests);

    report_too_many_keys(document, tenants);
    let mut built = Tenants::default();
    for entry in tenants {
        let Some(written) = &entry.body else { continue };
        let plan = written
            .plan
            .as_ref()
            .and_then(|name| plan_names.find(document, name));
        let plan = plan.and_then(|plan| plans[plan as usize].as_ref());
        let limits_of_plan = plan.map_or(&[][..], |plan| plan.limits);
        report_repeated_limits(document, limits_of_plan, &written.limits);
        built.add_tenant(&entry.name.value, written, plan, offers)?;
    }
    Some(built)
}

impl Tenants {
    fn add_tenant(
        &mut self,
        name: &str,
        written: &TenantSchema,
        plan: Option<&Plan<'_>>,
        offers: &Offers<'_>,
    ) -> Option<()> {
        let tenant = TenantId(u32::try_from(self.tenants.len()).ok()?);
        let plan_name = plan.map(|plan| plan.name.into());
        self.tenants.push(Tenant {
            name: name.into(),
            suspended: written.suspended,
            plan: plan_name,
        });
        let mut shared = Vec::new();
        let of_plan = plan.map_or(&[][..], |plan| plan.limits);
        for limit in of_plan.iter().chain(&written.limits) {
            shared.push(self.add_bucket(bucket(Scope::Tenant, name, limit))?);
        }
        if let Some(balance) = written.balance {
            shared.push(self.add_bucket(balance_bucket(name, balance))?);
        }
        let names = written.keys.iter().filter_map(|key| key.name.as_ref());
        report_repeated(
            offers.document,
            names.map(|name| (&name.value, &name.place)),
        );
        for key in &written.keys {
            report_repeated_limits(offers.document, &[], &key.limits);
            let plan = plan.map(|plan| PlanOffer {
                name: plan.name,
                offer: &plan.offer,
            });
            let offer = offers.find(&key.offer, plan.as_ref());
            // A key without its name or digest has been reported: nothing will come of this.
            let _ = self.add_key((tenant, name), key, offer, &shared);
        }
        Some(())
    }

    fn add_key(
        &mut self,
        (tenant, tenant_name): (TenantId, &str),
        written: &KeySchema,
        offer: Offer,
        shared: &[BucketId],
    ) -> Option<()> {
        let id = KeyId(u32::try_from(self.keys.len()).ok()?);
        let (name, digest) = (
            &written.name.as_ref()?.value,
            written.digest.as_ref()?.value,
        );
        let owner = format!("{tenant_name}/{name}");
        let mut path = Vec::with_capacity(written.limits.len() + shared.len());
        for limit in &written.limits {
            path.push(self.add_bucket(bucket(Scope::Key, &owner, limit))?);
        }
        path.extend_from_slice(shared);
        // Stable: within a class the key's own stay before its tenant's.
        path.sort_by_key(|bucket| self.buckets[bucket.index()].class);
        let counts_money = |bucket: &BucketId| self.buckets[bucket.index()].unit == Unit::Usd;
        let has_money_limit = path.iter().any(counts_money);
        self.key_by_digest.insert(digest, id);
        self.keys.push(ApiKey {
            name: name.clone(),
            digest,
            tenant,
            disabled: written.disabled,
            models: offer
                .models
                .map(|places| places.into_iter().map(ModelId).collect()),
            services: offer
                .services
                .map(|places| places.into_iter().map(ServiceId).collect()),
            path,
            has_money_limit,
        });
        Some(())
    }

    fn add_bucket(&mut self, bucket: BucketSpec) -> Option<BucketId> {
        let id = BucketId(u32::try_from(self.buckets.len()).ok()?);
        self.buckets.push(bucket);
        Some(id)
    }
}

/// Reports the tenant whose keys are the first beyond the bound of all.
fn report_too_many_keys(document: &Document<'_>, tenants: &[Entry<TenantSchema>]) {
    let mut keys = 0;
    for entry in tenants {
        keys += entry.body.as_ref().map_or(0, |tenant| tenant.keys.len());
        if keys > KEYS_MAX {
            document.report(&entry.name.place, Problem::TooMany { max: KEYS_MAX });
            return;
        }
    }
}

fn bucket(scope: Scope, owner: &str, limit: &LimitSchema) -> BucketSpec {
    let (unit, window) = (limit.unit, limit.window);
    let name = match (unit, window) {
        (Unit::Concurrent, _) => format!("{} requests in flight", limit.amount),
        (_, Window::Total) => format!("{} {} in total", amount(limit), unit.word()),
        _ => format!("{} {} per {}", amount(limit), unit.word(), window.word()),
    };
    // Names hold neither `:` nor `/`, so no two owners can be spelt alike.
    let identity = format!("{}:{owner}:{}:{}", scope.word(), unit.word(), window.word());
    BucketSpec {
        identity: identity.into(),
        scope,
        scope_id: owner.into(),
        name: name.into(),
        unit,
        window,
        limit: limit.amount,
        class: limit.class,
    }
}

/// Prepaid money is a bucket beside a limit on money for ever, so its identity differs.
fn balance_bucket(owner: &str, balance: NanoUsd) -> BucketSpec {
    BucketSpec {
        identity: format!("{}:{owner}:balance", Scope::Tenant.word()).into(),
        scope: Scope::Tenant,
        scope_id: owner.into(),
        name: "prepaid balance".into(),
        unit: Unit::Usd,
        window: Window::Total,
        limit: balance.0,
        class: LimitClass::Balance,
    }
}

/// The amount as people read it: money in USD, everything else as it is.
fn amount(limit: &LimitSchema) -> String {
    match limit.unit {
        Unit::Usd => NanoUsd(limit.amount).to_string(),
        _ => limit.amount.to_string(),
    }
}

/// Reports limits of `own` on a unit and window that `above` or an earlier one has.
fn report_repeated_limits(document: &Document<'_>, above: &[LimitSchema], own: &[LimitSchema]) {
    let mut first: HashMap<(Unit, Window), &Place> = HashMap::new();
    for limit in above {
        first.insert((limit.unit, limit.window), &limit.place);
    }
    for limit in own {
        match first.entry((limit.unit, limit.window)) {
            hash_map::Entry::Vacant(free) => {
                free.insert(&limit.place);
            }
            hash_map::Entry::Occupied(taken) => {
                let first = taken.get().path.clone();
                document.report(&limit.place, Problem::LimitRepeated { first });
            }
        }
    }
}
