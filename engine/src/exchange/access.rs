//! From where: whether a caller may come from its address at all.
//!
//! Asked before any key is looked at, so that whoever is shut out learns nothing of keys. The
//! address is the connection's, or what a trusted proxy says of it; see `forwarded`.

use super::Exchange;
use super::forwarded;
use super::refusal::Refusal;
use super::route::Place;
use crate::live::Live;

/// Lets a caller in, or not.
///
/// # Errors
/// When the gateway, or the service that was asked for, takes nobody from that address.
pub(super) fn admit(exchange: &Exchange<'_>, live: &Live, place: Place) -> Result<(), Refusal> {
    let everywhere = &live.config.edge.access;
    let here = place
        .service()
        .map(|service| &live.config.services[service.index()].rules.access);
    if everywhere.is_open() && here.is_none_or(|access| access.is_open()) {
        return Ok(());
    }
    let trusted = &live.config.edge.forwarded;
    let address = forwarded::client(exchange.intake, exchange.facts.peer, trusted);
    let admitted = everywhere.admits(address) && here.is_none_or(|access| access.admits(address));
    match admitted {
        true => Ok(()),
        false => Err(Refusal::AddressDenied),
    }
}
