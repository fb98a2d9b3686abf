//! Requests by what the router knows of them: never by a path that somebody typed. In memory only.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::Response,
};
use p2p_service::metrics::{Durations, Kind, Page};

/// The route of a request that fits none.
const NO_ROUTE: &str = "other";

/// Requests that were answered.
#[derive(Default)]
pub struct Requests(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// By route, method and class of the status.
    answered: BTreeMap<(String, &'static str, &'static str), u64>,
    /// By route.
    took: BTreeMap<String, Durations>,
    logins_refused: u64,
    rate_limited: u64,
}

/// For `axum::middleware::from_fn_with_state`: counts a request and how long its answer took.
pub async fn count_requests(
    State(requests): State<Arc<Requests>>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let method = word(request.method());
    let response = next.run(request).await;
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    requests.add(route, method, response.status(), begun.elapsed());
    response
}

/// Labels are of few words: anybody can make methods up.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

const fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

impl Requests {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, route: &str, method: &'static str, status: StatusCode, took: Duration) {
        let mut counts = self.counts();
        *counts
            .answered
            .entry((route.to_owned(), method, class(status)))
            .or_default() += 1;
        counts.took.entry(route.to_owned()).or_default().add(took);
        counts.rate_limited += u64::from(status == StatusCode::TOO_MANY_REQUESTS);
        counts.logins_refused += u64::from(status == StatusCode::UNAUTHORIZED && route.ends_with("/login"));
    }

    pub(super) fn write(&self, page: &mut Page) {
        let counts = self.counts();
        let answered = counts.answered.iter().map(|((route, method, status), count)| {
            let labels = vec![
                ("route", route.as_str()),
                ("method", *method),
                ("status", *status),
            ];
            (labels, *count as f64)
        });
        page.family(
            "requests_total",
            Kind::Counter,
            "Requests that were answered, by route, method and class of the status",
            answered,
        );
        page.histograms(
            "request_duration_seconds",
            "How long answers took, by route",
            "route",
            counts.took.iter().map(|(route, took)| (route.as_str(), took)),
        );
        page.counter(
            "logins_refused_total",
            "Logins with a wrong name or password",
            counts.logins_refused,
        );
        page.counter(
            "rate_limited_total",
            "Requests that came too often",
            counts.rate_limited,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_counted_by_its_reason() {
        let requests = Requests::default();
        let answered = |route, status| requests.add(route, "POST", status, Duration::ZERO);
        answered("/api/v1/ping", StatusCode::TOO_MANY_REQUESTS);
        answered("/api/v1/login", StatusCode::TOO_MANY_REQUESTS);
        answered("/api/v1/login", StatusCode::UNAUTHORIZED);
        // A session that has ended is no login.
        answered("/api/v1/ping", StatusCode::UNAUTHORIZED);
        let mut page = Page::new("x", "0");
        requests.write(&mut page);
        let text = page.into_text();
        for line in [
            "x_rate_limited_total 2",
            "x_logins_refused_total 1",
            "x_requests_total{route=\"/api/v1/ping\",method=\"POST\",status=\"4xx\"} 2",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}: {text}");
        }
    }
}
