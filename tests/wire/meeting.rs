//! Where the two sides of a case wait for each other.
//!
//! Two doors, each opened once by one side and waited for by the other. Nobody waits for
//! longer than a case may take.

use std::sync::{Condvar, Mutex};

use super::play::PATIENCE;

/// Two doors between a client and an upstream.
#[derive(Default)]
pub struct Meeting {
    doors: Mutex<Doors>,
    changed: Condvar,
}

#[derive(Default)]
struct Doors {
    released: bool,
    told: bool,
}

impl Meeting {
    /// Lets the upstream go on.
    pub fn release(&self) {
        self.open(|doors| doors.released = true);
    }

    /// Lets the client go on.
    pub fn tell(&self) {
        self.open(|doors| doors.told = true);
    }

    /// Waits to be released; false when nobody does.
    pub fn await_release(&self) -> bool {
        self.wait(|doors| doors.released)
    }

    /// Waits to be told; false when nobody does.
    pub fn await_word(&self) -> bool {
        self.wait(|doors| doors.told)
    }

    fn open(&self, open: impl FnOnce(&mut Doors)) {
        open(&mut self.doors.lock().expect("no holder of the doors panics"));
        self.changed.notify_all();
    }

    fn wait(&self, is_open: impl Fn(&Doors) -> bool) -> bool {
        let doors = self.doors.lock().expect("no holder of the doors panics");
        let (doors, _) = self
            .changed
            .wait_timeout_while(doors, PATIENCE, |doors| !is_open(doors))
            .expect("no holder of the doors panics");
        is_open(&doors)
    }
}
