//! What `Connection` says: which fields end here, and whether the connection goes on.
//!
//! Decides RFC 9110 §7.6.1 and RFC 9112 §9.3. It does not remove anything: fields are marked,
//! and left out when a head is written.

use crate::known::is_name;
use crate::syntax::{is_token, trim};
use crate::{FieldFault, Fields, Known, Version};

/// Options that `Connection` may list in one head. Real ones list three at most; each is looked
/// up among all fields, so the product of the two must stay small.
pub const CONNECTION_OPTIONS_MAX: usize = 32;

/// The options that mean something themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

impl ConnectionOptions {
    /// Reads every `Connection` field and marks the fields it names.
    pub(crate) fn read(bytes: &[u8], fields: &mut Fields) -> Result<Self, FieldFault> {
        let mut options = Self::default();
        if !fields.has(Known::Connection) {
            return Ok(options);
        }
        let mut left = CONNECTION_OPTIONS_MAX;
        for at in 0..fields.len() {
            let Some(value) = fields.connection_at(at) else {
                continue;
            };
            for option in value.of(bytes).split(|&byte| byte == b',') {
                left = left.checked_sub(1).ok_or(FieldFault::Connection)?;
                options.take(bytes, trim(option), fields)?;
            }
        }
        Ok(options)
    }

    fn take(&mut self, bytes: &[u8], option: &[u8], fields: &mut Fields) -> Result<(), FieldFault> {
        // An empty element of a list is to be ignored (RFC 9110 §5.6.1.2).
        if option.is_empty() {
            return Ok(());
        }
        if !is_token(option) {
            return Err(FieldFault::Connection);
        }
        if option.len() == 5 && is_name(option, b"close") {
            self.close = true;
            return Ok(());
        }
        match Known::of(option) {
            Known::KeepAlive => self.keep_alive = true,
            Known::Upgrade => self.upgrade = true,
            known if known.is_protected() => return Err(FieldFault::ConnectionProtected),
            known if known.is_hop_by_hop() => {}
            _ => fields.end_here(bytes, option),
        }
        Ok(())
    }

    /// Whether `Upgrade` was meant: without this option it says nothing (RFC 9110 §7.8), and
    /// HTTP/1.0 has no upgrade.
    pub(crate) fn upgrades(self, version: Version, fields: &Fields) -> bool {
        self.upgrade && version == Version::Http11 && fields.has(Known::Upgrade)
    }

    /// Whether the connection may carry another message after this one (RFC 9112 §9.3).
    pub(crate) fn persists(self, version: Version) -> bool {
        match version {
            Version::Http11 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        }
    }
}
