//! Tenants and keys: plans found, digests unique, every key the path of its buckets.
//!
//! What a limit becomes is `buckets`'s to say.

use crate::calendar::Calendar;
use crate::digest::ByDigest;
use crate::fault::Problem;
use crate::limits::KEYS_MAX;
use crate::read::{Document, Entry};
use crate::schema::limit::CalendarSchema;
use crate::schema::tenants::{KeySchema, PlanSchema, TeamSchema, TenantSchema};
use crate::snapshot::{
    ApiKey, BucketId, BucketSpec, KeyId, ModelId, ServiceId, Team, TeamId, Tenant, TenantId,
};
use crate::units::Scope;
use crate::validate::buckets::{Limit, balance_bucket, bucket, find_limits};
use crate::validate::names::{Names, report_repeated};
use crate::validate::offers::{Offer, Offers, PlanOffer};

/// The part of the snapshot that this room builds.
#[derive(Default)]
pub(super) struct Tenants {
    pub(super) tenants: Vec<Tenant>,
    pub(super) teams: Vec<Team>,
    pub(super) keys: Vec<ApiKey>,
    pub(super) buckets: Vec<BucketSpec>,
    pub(super) key_by_digest: ByDigest<KeyId>,
}

/// A plan, its references found.
struct Plan<'s> {
    name: &'s str,
    limits: Vec<Limit<'s>>,
    calendar: &'s CalendarSchema,
    offer: Offer,
}

/// Who pays, while its keys are built.
struct Payer<'s> {
    id: TenantId,
    name: &'s str,
    /// Whose days count where a limit does not say.
    calendar: Calendar,
    /// The buckets of all its keys.
    shared: Vec<BucketId>,
    /// Its teams by name, each with the buckets of its keys.
    team_names: Names,
    teams: Vec<(TeamId, Vec<BucketId>)>,
}

/// Checks every plan, tenant and key.
///
/// What is built is only complete if nothing was reported, which the caller asks.
pub(super) fn check(
    document: &Document<'_>,
    plans: &[Entry<PlanSchema>],
    tenants: &[Entry<TenantSchema>],
    (offers, calendar): (&Offers<'_>, &Calendar),
) -> Option<Tenants> {
    let plan_names = Names::of("plan", plans);
    let plans: Vec<_> = plans
        .iter()
        .map(|entry| {
            let written = entry.body.as_ref()?;
            let offer = offers.find(&written.offer, None);
            Some(Plan {
                name: &entry.name.value,
                limits: find_limits(offers, &[], &written.limits),
                calendar: &written.calendar,
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
        built.add_tenant((&entry.name.value, written), plan, (offers, calendar))?;
    }
    Some(built)
}

impl Tenants {
    fn add_tenant(
        &mut self,
        (name, written): (&str, &TenantSchema),
        plan: Option<&Plan<'_>>,
        (offers, calendar): (&Offers<'_>, &Calendar),
    ) -> Option<()> {
        let id = TenantId(u32::try_from(self.tenants.len()).ok()?);
        let plan_name = plan.map(|plan| plan.name.into());
        self.tenants.push(Tenant {
            name: name.into(),
            suspended: written.suspended,
            plan: plan_name,
        });
        let mut payer = Payer {
            id,
            name,
            calendar: match plan {
                Some(plan) => written.calendar.over(&plan.calendar.over(calendar)),
                None => written.calendar.over(calendar),
            },
            shared: Vec::new(),
            team_names: Names::of("team", &written.teams),
            teams: Vec::new(),
        };
        let of_plan = plan.map_or(&[][..], |plan| &plan.limits);
        let own = find_limits(offers, of_plan, &written.limits);
        for limit in of_plan.iter().chain(&own) {
            let bucket = bucket((Scope::Tenant, name), limit, &payer.calendar);
            payer.shared.push(self.add_bucket(bucket)?);
        }
        if let Some(balance) = written.balance {
            payer
                .shared
                .push(self.add_bucket(balance_bucket(name, balance))?);
        }
        self.add_teams(&mut payer, &written.teams, offers)?;
        let names = written.keys.iter().filter_map(|key| key.name.as_ref());
        report_repeated(
            offers.document,
            names.map(|name| (&name.value, &name.place)),
        );
        for key in &written.keys {
            let plan = plan.map(|plan| PlanOffer {
                name: plan.name,
                offer: &plan.offer,
            });
            let offer = offers.find(&key.offer, plan.as_ref());
            // A key without its name or digest has been reported: nothing will come of this.
            let _ = self.add_key(&payer, key, (offers, offer));
        }
        Some(())
    }

    fn add_teams(
        &mut self,
        payer: &mut Payer<'_>,
        written: &[Entry<TeamSchema>],
        offers: &Offers<'_>,
    ) -> Option<()> {
        for team in written {
            let id = TeamId(u32::try_from(self.teams.len()).ok()?);
            let name = &team.name.value;
            self.teams.push(Team {
                name: name.clone(),
                tenant: payer.id,
            });
            let owner = format!("{}/{name}", payer.name);
            let limits = team.body.as_ref().map_or(&[][..], |team| &team.limits);
            let mut buckets = Vec::with_capacity(limits.len());
            for limit in &find_limits(offers, &[], limits) {
                let bucket = bucket((Scope::Team, &owner), limit, &payer.calendar);
                buckets.push(self.add_bucket(bucket)?);
            }
            payer.teams.push((id, buckets));
        }
        Some(())
    }

    fn add_key(
        &mut self,
        payer: &Payer<'_>,
        written: &KeySchema,
        (offers, offer): (&Offers<'_>, Offer),
    ) -> Option<()> {
        let limits = find_limits(offers, &[], &written.limits);
        let team = written.team.as_ref();
        let team = team.and_then(|name| payer.team_names.find(offers.document, name));
        let team = team.map(|place| &payer.teams[place as usize]);
        let id = KeyId(u32::try_from(self.keys.len()).ok()?);
        let (name, digest) = (
            &written.name.as_ref()?.value,
            written.digest.as_ref()?.value,
        );
        let owner = format!("{}/{name}", payer.name);
        let mut path = Vec::with_capacity(written.limits.len() + payer.shared.len());
        for limit in &limits {
            let bucket = bucket((Scope::Key, &owner), limit, &payer.calendar);
            path.push(self.add_bucket(bucket)?);
        }
        path.extend_from_slice(team.map_or(&[], |(_, shared)| shared));
        path.extend_from_slice(&payer.shared);
        // Stable: within a class the key's own stay before its team's and its tenant's.
        path.sort_by_key(|bucket| self.buckets[bucket.index()].class);
        self.key_by_digest.insert(digest, id);
        self.keys.push(ApiKey {
            name: name.clone(),
            digest,
            tenant: payer.id,
            team: team.map(|(id, _)| *id),
            disabled: written.disabled,
            models: offer
                .models
                .map(|places| places.into_iter().map(ModelId).collect()),
            services: offer
                .services
                .map(|places| places.into_iter().map(ServiceId).collect()),
            path,
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
