//! Browser sessions: an API token in an HttpOnly cookie. Also the one-time link that lets the first administrator in.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use millrace_engine::clock::Clock;
use millrace_engine::runners::service::{hash, new_secret};
use serde::{Deserialize, Serialize};

use super::{Caller, Gate, Issue, Role};

/// The cookie with the token.
pub const SESSION_COOKIE: &str = "millrace_session";
/// How long the session of a login link lasts, in milliseconds.
const LINK_SESSION_MS: i64 = 30 * 24 * 3_600_000;
/// How long a login link is good, in milliseconds.
const LINK_TTL_MS: i64 = 24 * 3_600_000;
/// How long a browser keeps the cookie, in seconds; the token inside has an expiry of its own.
const COOKIE_MAX_AGE_SECONDS: u64 = 30 * 24 * 3_600;

/// What the session routes need.
#[derive(Clone)]
pub struct Sessions {
    /// Tokens.
    pub gate: Arc<Gate>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The cookie is for HTTPS only.
    pub secure: bool,
}

/// `/api/session` and `/login`.
pub fn routes(sessions: Sessions) -> Router {
    Router::new()
        .route("/api/session", get(show).post(sign_in).delete(sign_out))
        .route("/login", get(login))
        .with_state(sessions)
}

/// Makes a link secret for the first administrator.
pub async fn new_login_link(sessions: &Sessions) -> millrace_engine::error::Result<String> {
    let secret = new_secret("mrl");
    let expires = sessions.clock.now_ms() + LINK_TTL_MS;
    sessions.gate.tokens.store().put_login_link(&hash(&secret), expires).await?;
    Ok(secret)
}

#[derive(Serialize)]
struct Shown {
    authenticated: bool,
    role: Option<&'static str>,
    mode: &'static str,
}

async fn show(State(sessions): State<Sessions>, Extension(caller): Extension<Caller>) -> Json<Shown> {
    Json(Shown {
        authenticated: caller.role().is_some(),
        role: caller.role().map(Role::word),
        mode: if sessions.gate.open { "dev" } else { "serve" },
    })
}

#[derive(Deserialize)]
struct SignIn {
    token: String,
}

async fn sign_in(State(sessions): State<Sessions>, Json(request): Json<SignIn>) -> Response {
    match sessions.gate.tokens.check(request.token.trim()).await {
        Caller::Token { .. } => {
            with_cookie(&sessions, request.token.trim(), COOKIE_MAX_AGE_SECONDS, StatusCode::NO_CONTENT)
        }
        Caller::Refused(why) => (StatusCode::UNAUTHORIZED, why).into_response(),
        _ => (StatusCode::UNAUTHORIZED, "not an API token").into_response(),
    }
}

async fn sign_out(State(sessions): State<Sessions>) -> Response {
    with_cookie(&sessions, "", 0, StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

async fn login(State(sessions): State<Sessions>, Query(login): Query<Login>) -> Response {
    let tokens = &sessions.gate.tokens;
    match tokens.store().use_login_link(&hash(&login.token), sessions.clock.now_ms()).await {
        Ok(true) => {}
        Ok(false) => {
            let message =
                "This link was used before or is too old. Make a token with `millrace token create --role admin`.";
            return (StatusCode::UNAUTHORIZED, message).into_response();
        }
        Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
    let issue = Issue { label: "admin".into(), role: Role::Admin, project: String::new(), ttl_ms: LINK_SESSION_MS };
    match tokens.issue(issue).await {
        Ok(token) => {
            let mut response = Redirect::to("/").into_response();
            set_cookie(&mut response, &sessions, &token, COOKIE_MAX_AGE_SECONDS);
            response
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn with_cookie(sessions: &Sessions, token: &str, max_age: u64, status: StatusCode) -> Response {
    let mut response = status.into_response();
    set_cookie(&mut response, sessions, token, max_age);
    response
}

fn set_cookie(response: &mut Response, sessions: &Sessions, token: &str, max_age: u64) {
    let secure = if sessions.secure { "; Secure" } else { "" };
    let cookie = format!("{SESSION_COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age}{secure}");
    // A token has no character that a header can't have; should one, no cookie is the safe answer.
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}
