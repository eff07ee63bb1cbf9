//! What a key may ask for: what its plan offers, narrowed by its own lists.

use crate::fault::Problem;
use crate::read::{At, Document};
use crate::schema::tenants::OfferSchema;
use crate::validate::names::{Names, report_repeated};

/// Finds the models and services that offers name.
pub(super) struct Offers<'n> {
    pub(super) document: &'n Document<'n>,
    pub(super) models: &'n Names,
    pub(super) services: &'n Names,
}

/// Models and services by their places in the snapshot, ascending; `None` means all.
#[derive(Clone, Debug, Default)]
pub(super) struct Offer {
    pub(super) models: Option<Vec<u32>>,
    pub(super) services: Option<Vec<u32>>,
}

/// A plan, as its keys see it.
pub(super) struct PlanOffer<'p> {
    pub(super) name: &'p str,
    pub(super) offer: &'p Offer,
}

impl Offers<'_> {
    /// The offer as written, and narrowed to the plan's where it is silent.
    ///
    /// A key that names what its plan lacks would be refused at run time, far from
    /// the line that is wrong; so it is refused here.
    pub(super) fn find(&self, written: &OfferSchema, plan: Option<&PlanOffer<'_>>) -> Offer {
        let of_plan = plan.and_then(|plan| plan.offer.models.as_ref());
        let models = self.narrow(written.models.as_deref(), self.models, of_plan, plan);
        let of_plan = plan.and_then(|plan| plan.offer.services.as_ref());
        let services = self.narrow(written.services.as_deref(), self.services, of_plan, plan);
        Offer { models, services }
    }

    /// The places of models that a limit names, ascending.
    pub(super) fn places_of_models(&self, named: &[At<Box<str>>]) -> impl Iterator<Item = u32> {
        self.places(self.models, named)
    }

    /// The places of services that a limit names, ascending.
    pub(super) fn places_of_services(&self, named: &[At<Box<str>>]) -> impl Iterator<Item = u32> {
        self.places(self.services, named)
    }

    fn places(&self, names: &Names, named: &[At<Box<str>>]) -> impl Iterator<Item = u32> + use<> {
        let listed = named.iter().map(|name| (&name.value, &name.place));
        report_repeated(self.document, listed);
        let found = named
            .iter()
            .filter_map(|name| names.find(self.document, name));
        let mut places: Vec<_> = found.collect();
        places.sort_unstable();
        places.into_iter()
    }

    fn narrow(
        &self,
        written: Option<&[At<Box<str>>]>,
        names: &Names,
        of_plan: Option<&Vec<u32>>,
        plan: Option<&PlanOffer<'_>>,
    ) -> Option<Vec<u32>> {
        let Some(written) = written else {
            return of_plan.cloned();
        };
        report_repeated(
            self.document,
            written.iter().map(|name| (&name.value, &name.place)),
        );
        let mut found = Vec::with_capacity(written.len());
        for name in written {
            let Some(id) = names.find(self.document, name) else {
                continue;
            };
            let outside = of_plan.is_some_and(|of_plan| of_plan.binary_search(&id).is_err());
            if let Some(plan) = plan.filter(|_| outside) {
                let plan = plan.name.to_owned();
                self.document
                    .report(&name.place, Problem::OutsidePlan { plan });
            }
            found.push(id);
        }
        found.sort_unstable();
        Some(found)
    }
}
