//! What is answered at which path, and for whom.
//!
//! One table says it all: the router is built from it and the tests walk it, so
//! that no route can be added without saying who may ask. GET never changes
//! anything. What the answers say is decided in the rooms they are named for.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::gateway::{Gateway, Readiness};
use crate::limits::{BODY_BYTES_MAX, BODY_TIMEOUT, RELOAD_TIMEOUT};
use crate::refusal::Refusal;
use crate::stats::Stats;
use crate::token::Token;
use crate::{metrics, origin};

/// What the answers are made from.
pub(crate) struct Desk {
    /// Who is asked.
    pub(crate) gateway: Arc<dyn Gateway>,
    /// Who may ask.
    pub(crate) token: Token,
    /// Whether the port speaks TLS.
    pub(crate) sealed: bool,
    /// Requests per second, as last sampled.
    pub(crate) per_s: watch::Receiver<f64>,
    /// One permit: reloads come one after the other.
    pub(crate) reloading: Arc<Semaphore>,
}

/// Who may ask for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Anyone who reaches the port.
    Anyone,
    /// Whoever shows the admin token.
    Operator,
}

/// What a route asks for, with the method that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// Whether the process runs.
    Alive,
    /// Whether new requests are welcome.
    Ready,
    /// The counters for a scraper.
    Metrics,
    /// The counters for a person or a page.
    Stats,
    /// The configuration, read again.
    Reload,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
struct Route {
    path: &'static str,
    page: Page,
    access: Access,
}

/// Every route there is.
const ROUTES: [Route; 5] = [
    Route {
        path: "/livez",
        page: Page::Alive,
        access: Access::Anyone,
    },
    Route {
        path: "/readyz",
        page: Page::Ready,
        access: Access::Anyone,
    },
    Route {
        path: "/metrics",
        page: Page::Metrics,
        access: Access::Operator,
    },
    Route {
        path: "/api/v1/stats",
        page: Page::Stats,
        access: Access::Operator,
    },
    Route {
        path: "/api/v1/reload",
        page: Page::Reload,
        access: Access::Operator,
    },
];

impl Page {
    const fn changes_something(self) -> bool {
        matches!(self, Self::Reload)
    }

    /// GET, which answers HEAD too, unless something changes.
    const fn method(self) -> MethodFilter {
        if self.changes_something() {
            MethodFilter::POST
        } else {
            MethodFilter::GET
        }
    }
}

/// The table as a service.
pub(crate) fn router(desk: Arc<Desk>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let answer = move |State(desk): State<Arc<Desk>>, request| answer(route, desk, request);
        router = router.route(route.path, on(route.page.method(), answer));
    }
    router
        .fallback(|| async { Refusal::PathUnknown })
        .method_not_allowed_fallback(|| async { Refusal::MethodUnknown })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(map_response(keep_private))
        .with_state(desk)
}

/// Whoever asks is admitted first, and only then is anything looked at.
async fn answer(route: Route, desk: Arc<Desk>, request: Request) -> Result<Response, Refusal> {
    if route.access == Access::Operator {
        desk.token.admit(request.headers())?;
    }
    if route.page.changes_something() {
        origin::admit(request.uri(), request.headers(), desk.sealed)?;
    }
    match route.page {
        Page::Alive => Ok(Json(Health { status: "alive" }).into_response()),
        Page::Ready => Ok(readiness(desk.gateway.readiness())),
        Page::Metrics => scrape(desk.gateway.stats()),
        Page::Stats => Ok(Json(Look::new(&desk)).into_response()),
        Page::Reload => reload(&desk, request).await,
    }
}

/// The answer of the two health checks.
#[derive(Serialize)]
struct Health<T> {
    status: T,
}

fn readiness(readiness: Readiness) -> Response {
    let status = match readiness {
        Readiness::Ready => StatusCode::OK,
        Readiness::Starting | Readiness::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(Health { status: readiness })).into_response()
}

fn scrape(stats: Stats) -> Result<Response, Refusal> {
    let text = metrics::encode(stats).map_err(|_| Refusal::Broken)?;
    let content_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

/// The answer of `GET /api/v1/stats`.
#[derive(Serialize)]
struct Look {
    #[serde(flatten)]
    stats: Stats,
    requests_per_s: f64,
}

impl Look {
    fn new(desk: &Desk) -> Self {
        Self {
            stats: desk.gateway.stats(),
            requests_per_s: *desk.per_s.borrow(),
        }
    }
}

async fn reload(desk: &Desk, request: Request) -> Result<Response, Refusal> {
    take_nothing(request).await?;
    let gateway = Arc::clone(&desk.gateway);
    let reloading = Arc::clone(&desk.reloading);
    let reloaded = timeout(RELOAD_TIMEOUT, async {
        // The permit goes with the work, not with the request: when the operator
        // hangs up, the file is still being read, and a second reload waits for it.
        let turn = reloading
            .acquire_owned()
            .await
            .map_err(|_| Refusal::Broken)?;
        let work = tokio::task::spawn_blocking(move || {
            let reloaded = gateway.reload();
            drop(turn);
            reloaded
        });
        // Only a panic in the gateway's own code ends the work without an answer.
        work.await
            .map_err(|_| Refusal::Broken)?
            .map_err(Refusal::from)
    });
    let reloaded = reloaded.await.map_err(|_| Refusal::ReloadLate)??;
    Ok(Json(reloaded).into_response())
}

/// Reads a body that should say nothing: empty, or an empty JSON object.
///
/// A field that we do not know might be one that the operator counts on.
async fn take_nothing(request: Request) -> Result<(), Refusal> {
    let read = timeout(BODY_TIMEOUT, Bytes::from_request(request, &()));
    let bytes = read
        .await
        .map_err(|_| Refusal::BodyLate)?
        .map_err(|fault| match fault.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Refusal::BodyTooLarge,
            _ => Refusal::BodyUnwanted,
        })?;
    match bytes.trim_ascii() {
        b"" | b"{}" => Ok(()),
        _ => Err(Refusal::BodyUnwanted),
    }
}

/// What the port says is for whoever asked, now, and is what it says it is.
async fn keep_private(mut answer: Response) -> Response {
    let fields = answer.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_health_checks_answer_a_stranger() {
        let open = ROUTES.iter().filter(|route| route.access == Access::Anyone);
        let pages: Vec<Page> = open.map(|route| route.page).collect();
        assert_eq!(pages, [Page::Alive, Page::Ready]);
    }

    #[test]
    fn whatever_changes_something_is_the_operators_and_is_never_a_get() {
        for route in ROUTES.iter().filter(|route| route.page.changes_something()) {
            assert_eq!(route.access, Access::Operator, "{}", route.path);
            assert_eq!(route.page.method(), MethodFilter::POST, "{}", route.path);
        }
    }
}
