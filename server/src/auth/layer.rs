//! Finds the caller of every HTTP request, once, before anything else looks at it; keeps other web sites' pages out.
//! What callers may do is decided where it is done.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millrace_engine::runners::Runners;

use super::Caller;
use super::jwt::Tokens;
use super::session::SESSION_COOKIE;

/// The header in which an agent may send its runner token, besides `Authorization: Bearer`.
const RUNNER_TOKEN_HEADER: &str = "x-runner-token";
/// What runner tokens begin with.
const RUNNER_TOKEN_PREFIX: &str = "mrt_";

/// All that finding a caller takes.
pub struct Gate {
    /// API tokens.
    pub tokens: Arc<Tokens>,
    /// Runner tokens.
    pub runners: Arc<Runners>,
    /// Anybody may do anything: only ever on loopback.
    pub open: bool,
}

impl Gate {
    /// The runner or the bearer that a token names.
    pub async fn by_token(&self, token: &str) -> Caller {
        if token.starts_with(RUNNER_TOKEN_PREFIX) {
            return match self.runners.authenticate(token).await {
                Ok(runner) => Caller::Runner(Box::new(runner)),
                Err(error) => Caller::Refused(error.to_string()),
            };
        }
        self.tokens.check(token).await
    }

    async fn by_headers(&self, headers: &HeaderMap) -> Caller {
        if let Some(token) = bearer(headers).or_else(|| text(headers, RUNNER_TOKEN_HEADER)) {
            return self.by_token(token).await;
        }
        if let Some(token) = basic(headers) {
            return self.by_token(&token).await;
        }
        if let Some(token) = cookie(headers, SESSION_COOKIE) {
            match self.tokens.check(token).await {
                // An old cookie on an open server is no reason to keep anybody out.
                Caller::Refused(_) if self.open => {}
                caller => return caller,
            }
        }
        if self.open { Caller::Open } else { Caller::Anonymous }
    }
}

/// The axum middleware.
pub async fn identify(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    if let Some(refusal) = foreign(&gate, &request) {
        return refusal;
    }
    let caller = gate.by_headers(request.headers()).await;
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Refuses what a page of another site makes a browser send: a write with a foreign Origin and, on an open server,
/// anything addressed to a name that is not loopback (DNS rebinding).
fn foreign(gate: &Gate, request: &Request) -> Option<Response> {
    let host =
        request.uri().authority().map(Authority::as_str).or_else(|| text(request.headers(), header::HOST.as_str()));
    if gate.open && !host.is_some_and(is_loopback_name) {
        let message =
            format!("this server is open on loopback only; it does not answer to the name {:?}", host.unwrap_or(""));
        return Some((StatusCode::FORBIDDEN, message).into_response());
    }
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    let origin = text(request.headers(), header::ORIGIN.as_str())?;
    let origin_host = origin.split_once("://").map(|(_, rest)| rest);
    if safe || origin_host == host {
        return None;
    }
    Some((StatusCode::FORBIDDEN, format!("requests from pages of {origin} are not taken")).into_response())
}

/// Whether a `host[:port]` is this machine by a name that no DNS answers for.
fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = text(headers, header::AUTHORIZATION.as_str())?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token of `Basic` credentials: the password, or the user's name where there is none. For tools whose cache has a
/// user and a password. What can't be read is a token that is not good.
fn basic(headers: &HeaderMap) -> Option<String> {
    let (scheme, encoded) = text(headers, header::AUTHORIZATION.as_str())?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let credentials = decoded.unwrap_or_default();
    let (user, password) = credentials.split_once(':').unwrap_or((&credentials, ""));
    Some(if password.is_empty() { user } else { password }.to_owned())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:80", "127.8.9.1", "[::1]:8080", "a.localhost:1"] {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in ["", "example.org", "localhost.example.org:80", "10.0.0.1", "[2001:db8::1]:80", "127.0.0.1.nip.io"]
        {
            assert!(!is_loopback_name(host), "{host}");
        }
    }
}
