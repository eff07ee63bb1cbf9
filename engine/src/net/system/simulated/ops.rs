//! Operations as a ring has them: handed over, carried out some time, completed later.
//!
//! An operation that was carried out may complete after it was cancelled or given up,
//! and one that was given up may still be carried out. A read takes part of what is
//! there, a write part of what it was given.

use std::future::Future;
use std::io;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::world::World;

/// What is asked of an end.
pub(super) enum What {
    /// To read so many bytes at the most.
    Read(usize),
    /// To write these.
    Write(Vec<u8>),
    /// To say when a read would not wait.
    Readable,
}

/// What an operation came to.
pub(super) enum Done {
    Read(Vec<u8>),
    Written(usize),
    Readable,
}

/// One operation.
pub(super) struct Op {
    pub(super) fd: RawFd,
    what: What,
    outcome: Option<io::Result<Done>>,
    /// Whether whoever waits may see the outcome.
    completed: bool,
    /// Nobody waits any more.
    abandoned: bool,
    waker: Option<Waker>,
}

/// Waits for an operation; giving up leaves it to the world, which may carry it out yet.
pub(super) struct Pending {
    world: Rc<World>,
    number: u64,
}

impl Pending {
    /// Hands an operation over.
    pub(super) fn submit(fd: RawFd, what: What) -> Self {
        let world = World::current();
        let mut net = world.net.borrow_mut();
        let number = net.ops_total;
        net.ops_total += 1;
        let op = Op {
            fd,
            what,
            outcome: None,
            completed: false,
            abandoned: false,
            waker: None,
        };
        net.ops.insert(number, op);
        drop(net);
        world.hold(fd);
        let delay_us = world.draw(|chance| chance.below(20));
        world.after(delay_us, move |world| world.attempt(number));
        Self { world, number }
    }

    /// Its number, by which it can be cancelled.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }
}

impl Future for Pending {
    type Output = io::Result<Done>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut net = self.world.net.borrow_mut();
        let op = net
            .ops
            .get_mut(&self.number)
            .expect("an operation stays until it was seen");
        if !op.completed {
            op.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let op = net.ops.remove(&self.number).expect("it was just here");
        drop(net);
        self.world.release(op.fd);
        Poll::Ready(op.outcome.expect("a completed operation came to something"))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut net = self.world.net.borrow_mut();
        let Some(op) = net.ops.get_mut(&self.number) else {
            return;
        };
        op.abandoned = true;
        let (fd, completed) = (op.fd, op.completed);
        if completed {
            net.ops.remove(&self.number);
            drop(net);
            self.world.release(fd);
        } else {
            drop(net);
            self.world.cancel(self.number);
        }
    }
}

impl World {
    /// Carries an operation out, if that is possible now.
    pub(super) fn attempt(&self, number: u64) {
        let mut net = self.net.borrow_mut();
        let net = &mut *net;
        let Some(op) = net.ops.get_mut(&number).filter(|op| op.outcome.is_none()) else {
            return;
        };
        let fd = op.fd;
        let Some(end) = net.ends.get_mut(&fd) else {
            op.outcome = Some(Err(io::Error::from_raw_os_error(libc::ECONNRESET)));
            return self.complete_soon(number);
        };
        op.outcome = match &op.what {
            What::Read(_) | What::Readable if !end.is_readable() => None,
            What::Readable => Some(Ok(Done::Readable)),
            What::Read(most) => Some(if !end.inbox.is_empty() {
                let there = end.inbox.len().min(*most);
                let count = self.draw(|chance| chance.portion(there));
                Ok(Done::Read(end.inbox.drain(..count).collect()))
            } else if end.reset && !end.fin_received {
                Err(io::Error::from_raw_os_error(libc::ECONNRESET))
            } else {
                Ok(Done::Read(Vec::new()))
            }),
            What::Write(_) if end.reset || end.write_shut => {
                Some(Err(io::Error::from_raw_os_error(libc::EPIPE)))
            }
            What::Write(_) if end.room() == 0 => None,
            What::Write(bytes) => {
                let fits = bytes.len().min(end.room());
                let count = self.draw(|chance| chance.portion(fits));
                end.outbox.extend(&bytes[..count]);
                Some(Ok(Done::Written(count)))
            }
        };
        if op.outcome.is_some() {
            let peer = end.peer;
            self.complete_soon(number);
            self.after(0, move |world| {
                // A write has something to carry; a read made room for the other side.
                world.carry(fd);
                world.carry(peer);
            });
        }
    }

    /// Takes an operation back, unless it is carried out before the world hears of it.
    pub(super) fn cancel(&self, number: u64) {
        let delay_us = self.draw(|chance| match chance.one_in(8) {
            true => chance.below(20_000),
            false => chance.below(50),
        });
        self.after(delay_us, move |world| {
            let mut net = world.net.borrow_mut();
            if let Some(op) = net.ops.get_mut(&number)
                && op.outcome.is_none()
            {
                op.outcome = Some(Err(io::Error::from_raw_os_error(libc::ECANCELED)));
                world.complete_soon(number);
            }
        });
    }

    /// Lets an operation that was carried out complete.
    fn complete_soon(&self, number: u64) {
        let delay_us = self.draw(|chance| match chance.one_in(10) {
            true => chance.below(3_000),
            false => chance.below(20),
        });
        self.after(delay_us, move |world| {
            let mut net = world.net.borrow_mut();
            let Some(op) = net.ops.get_mut(&number) else {
                return;
            };
            op.completed = true;
            let (fd, abandoned, waker) = (op.fd, op.abandoned, op.waker.take());
            if abandoned {
                net.ops.remove(&number);
            }
            drop(net);
            if abandoned {
                world.release(fd);
            }
            if let Some(waker) = waker {
                waker.wake();
            }
        });
    }
}
