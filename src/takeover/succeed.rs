//! The new side of a takeover: asks for the listeners, and says when it serves.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::Handover;
use super::wire::Wire;

/// A running process that has given us its listeners and still takes clients from them.
#[derive(Debug)]
pub(crate) struct Predecessor {
    wire: Wire,
}

/// Asks whoever offers its listeners at `path`; none when nobody does.
///
/// # Errors
/// When somebody does and it goes wrong; nothing has changed for them then.
pub(crate) fn ask(path: &Path) -> io::Result<Option<(Predecessor, Handover)>> {
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(fault)
            if matches!(
                fault.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(fault) => return Err(fault),
    };
    let wire = Wire::with(stream)?;
    wire.say_hello()?;
    let handover = wire.receive()?;
    Ok(Some((Predecessor { wire }, handover)))
}

impl Predecessor {
    /// Says that we take clients, and waits until it does not any more. It drains by itself.
    pub(crate) fn relieve(self) {
        let left = self
            .wire
            .say_serving()
            .and_then(|()| self.wire.await_left());
        let predecessor = self.wire.peer();
        match left {
            Ok(()) => tracing::info!(predecessor, "taken over"),
            // Both take clients until it ends: nobody is turned away, but it is worth a look.
            Err(fault) => {
                tracing::warn!(%fault, predecessor, "the old process did not say that it left")
            }
        }
    }
}
