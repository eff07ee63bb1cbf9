//! Tasks of a worker: spawning with a floor under panics, sleeping, two at once.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

pub(crate) use super::system::{sleep, within};
/// Starts a task on this worker. A panic in it ends that task and calls `on_panic`;
/// without this floor it would end the thread, and every connection on it.
pub(crate) fn spawn<F, P>(future: F, on_panic: P)
where
    F: Future<Output = ()> + 'static,
    P: FnOnce() + 'static + Unpin,
{
    super::system::spawn(Caught {
        future: Some(Box::pin(future)),
        on_panic: Some(on_panic),
    });
}

struct Caught<F, P> {
    future: Option<Pin<Box<F>>>,
    on_panic: Option<P>,
}

impl<F: Future<Output = ()>, P: FnOnce() + Unpin> Future for Caught<F, P> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(future) = self.future.as_mut() else {
            return Poll::Ready(());
        };
        // The task is not looked at again after a panic, so nothing broken is seen.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        if matches!(polled, Ok(Poll::Pending)) {
            return Poll::Pending;
        }
        // What the task held is dropped inside the floor too.
        let future = self.future.take();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(future)));
        if (polled.is_err() || dropped.is_err())
            && let Some(on_panic) = self.on_panic.take()
        {
            on_panic();
        }
        Poll::Ready(())
    }
}

/// Waits for whichever of two is done first, and drops the other. Only for futures that may be
/// dropped half-way.
pub(crate) async fn either(first: impl Future, second: impl Future) {
    let mut first = pin!(first);
    let mut second = pin!(second);
    std::future::poll_fn(|context| {
        let done =
            first.as_mut().poll(context).is_ready() || second.as_mut().poll(context).is_ready();
        if done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Runs an upload beside a download on one task. The download's end ends both; an upload
/// that finishes first leaves the download to go on, and one that fails is only told.
pub(crate) async fn both<U, D>(upload: U, download: D) -> (Option<U::Output>, D::Output)
where
    U: Future,
    D: Future,
{
    let mut upload = pin!(upload);
    let mut download = pin!(download);
    let mut uploaded = None;
    let downloaded = std::future::poll_fn(|context| {
        if uploaded.is_none()
            && let Poll::Ready(output) = upload.as_mut().poll(context)
        {
            uploaded = Some(output);
        }
        download.as_mut().poll(context)
    })
    .await;
    (uploaded, downloaded)
}

// On real sockets.
#[cfg(all(test, not(feature = "simulation")))]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::super::runtime::EventLoop;
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;
    use tollring_config::IoChoice;

    #[test]
    fn a_panic_ends_its_task_and_not_the_worker() {
        let caught = Rc::new(Cell::new(0));
        let told = Rc::clone(&caught);
        EventLoop::build(IoChoice::Auto).unwrap().run(async move {
            spawn(async { panic!("a bug") }, move || told.set(told.get() + 1));
            sleep(Duration::from_millis(1)).await;
        });
        assert_eq!(caught.get(), 1);
    }

    #[test]
    fn the_end_of_the_download_ends_an_upload_that_goes_on() {
        let (uploaded, downloaded) = EventLoop::build(IoChoice::Auto)
            .unwrap()
            .run(async { both(std::future::pending::<()>(), async { 7 }).await });
        assert!(uploaded.is_none());
        assert_eq!(downloaded, 7);
    }
}
