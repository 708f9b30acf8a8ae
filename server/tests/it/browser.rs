//! What protects people who sit in front of a browser: sessions, foreign pages, names that are not this machine's.

use millrace_server::auth::Role;
use millrace_server::auth::session::{Sessions, new_login_link};
use reqwest::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::app::TestApp;

const LIST: &str = "/millrace.v1.PipelineService/ListRuns";

fn client() -> reqwest::Client {
    reqwest::Client::builder().http1_only().redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}

async fn sign_in(test: &TestApp, token: &str) -> reqwest::Response {
    let body = json!({ "token": token }).to_string();
    let request = client().post(format!("{}/api/session", test.url)).header(CONTENT_TYPE, "application/json");
    request.body(body).send().await.expect("an answer")
}

/// The cookie's `name=value` and its attributes in lower case.
fn cookie(answer: &reqwest::Response) -> (String, Vec<String>) {
    let text = answer.headers()[SET_COOKIE].to_str().expect("text");
    let mut parts = text.split(';').map(str::trim);
    let pair = parts.next().expect("a pair").to_owned();
    (pair, parts.map(str::to_ascii_lowercase).collect())
}

/// A reading call as the pages make it: a POST.
async fn list(test: &TestApp, headers: &[(reqwest::header::HeaderName, &str)]) -> u16 {
    let mut request = client().post(format!("{}{LIST}", test.url)).header(CONTENT_TYPE, "application/json").body("{}");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn a_session_begins_with_a_token_and_ends_with_the_sign_out() {
    let test = TestApp::with_tokens().await;
    assert_eq!(list(&test, &[]).await, 401);
    let token = test.token(Role::Read).await;
    let answer = sign_in(&test, &token).await;
    assert_eq!(answer.status(), 204);
    let (pair, attributes) = cookie(&answer);
    for wanted in ["httponly", "samesite=strict", "path=/"] {
        assert!(attributes.iter().any(|attribute| attribute == wanted), "{wanted} is not in {attributes:?}");
    }
    assert!(attributes.iter().any(|attribute| attribute.starts_with("max-age=")), "{attributes:?}");
    assert!(!attributes.iter().any(|attribute| attribute.starts_with("domain")), "{attributes:?}");
    assert_eq!(list(&test, &[(COOKIE, &pair)]).await, 200);
    let shown = client().get(format!("{}/api/session", test.url)).header(COOKIE, &pair).send().await.unwrap();
    let shown: Value = serde_json::from_slice(&shown.bytes().await.unwrap()).expect("JSON");
    assert_eq!(shown, json!({ "authenticated": true, "role": "read", "mode": "serve" }));

    let out = client().delete(format!("{}/api/session", test.url)).header(COOKIE, &pair).send().await.unwrap();
    let (empty, attributes) = cookie(&out);
    assert_eq!(empty, "millrace_session=");
    assert!(attributes.contains(&"max-age=0".to_owned()), "{attributes:?}");
    for bad in ["garbage", "", &test.registration_token().await] {
        let answer = sign_in(&test, bad).await;
        assert_eq!(answer.status(), 401, "{bad}");
        assert!(!answer.headers().contains_key(SET_COOKIE), "{bad}");
    }
    test.close().await;
}

#[tokio::test]
async fn a_login_link_is_good_once() {
    let test = TestApp::with_tokens().await;
    let sessions = Sessions { gate: Arc::clone(&test.app.gate), clock: Arc::clone(&test.app.clock), secure: false };
    let secret = new_login_link(&sessions).await.expect("a link");
    let link = format!("{}/login?token={secret}", test.url);
    let first = client().get(&link).send().await.expect("an answer");
    assert_eq!((first.status().as_u16(), first.headers()[LOCATION].to_str().unwrap()), (303, "/"));
    let (pair, _) = cookie(&first);
    assert_eq!(list(&test, &[(COOKIE, &pair)]).await, 200);
    let second = client().get(&link).send().await.expect("an answer");
    assert_eq!(second.status(), 401);
    assert!(!second.headers().contains_key(SET_COOKIE));
    assert!(second.text().await.expect("text").contains("millrace token create"));
    let guess = client().get(format!("{}/login?token=guess", test.url)).send().await.expect("an answer");
    assert_eq!(guess.status(), 401);
    test.close().await;
}

#[tokio::test]
async fn pages_of_other_sites_write_nothing() {
    for open in [true, false] {
        let test = if open { TestApp::open().await } else { TestApp::with_tokens().await };
        let cookie = match &test.admin {
            Some(token) => format!("millrace_session={token}"),
            None => String::from("a=b"),
        };
        let own = test.url.clone();
        assert_eq!(list(&test, &[(COOKIE, &cookie), (ORIGIN, &own)]).await, 200, "our own page");
        assert_eq!(list(&test, &[(COOKIE, &cookie)]).await, 200, "no page at all: curl");
        for foreign in ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "file://", ""] {
            assert_eq!(list(&test, &[(COOKIE, &cookie), (ORIGIN, foreign)]).await, 403, "{foreign:?}, open: {open}");
            let url = format!("{}/api/session", test.url);
            let request = client().post(url).header(ORIGIN, foreign).header(CONTENT_TYPE, "application/json");
            let answer = request.body("{\"token\":\"x\"}").send().await.expect("an answer");
            assert_eq!(answer.status(), 403, "nor can they sign somebody in");
        }
        // What a page of another site may ask for is not shown to it: no CORS.
        let read = client().get(format!("{}/version", test.url)).header(ORIGIN, "https://evil.example").send().await;
        let headers = read.expect("an answer").headers().clone();
        assert!(!headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{headers:?}");
        test.close().await;
    }
}

#[tokio::test]
async fn an_open_server_answers_to_names_of_this_machine_only() {
    let test = TestApp::open().await;
    let port = test.address().rsplit(':').next().expect("a port").to_owned();
    for (host, status) in [
        (format!("localhost:{port}"), 200),
        (format!("127.0.0.1:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        (format!("evil.example:{port}"), 403),
        (format!("127.0.0.1.evil.example:{port}"), 403),
        ("evil.example".to_owned(), 403),
    ] {
        assert_eq!(list(&test, &[(HOST, &host)]).await, status, "{host}");
        let page = client().get(format!("{}/", test.url)).header(HOST, &host).send().await.expect("an answer");
        assert_eq!(page.status(), status, "{host}");
    }
    test.close().await;
    // Where tokens are needed the name does not matter: an ingress has its own.
    let test = TestApp::with_tokens().await;
    let page = client().get(format!("{}/", test.url)).header(HOST, "ci.example").send().await.expect("an answer");
    assert_eq!(page.status(), 200);
    test.close().await;
}

#[tokio::test]
async fn every_answer_says_what_a_browser_may_do_with_it() {
    let test = TestApp::with_tokens().await;
    for path in ["/", "/runs/1", "/version", "/missing.js", "/metrics", "/logs/x/raw", "/api/session"] {
        let answer = client().get(format!("{}{path}", test.url)).send().await.expect("an answer");
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        let policy = header(CONTENT_SECURITY_POLICY.as_str());
        for wanted in ["default-src 'self'", "frame-ancestors 'none'", "object-src 'none'", "base-uri 'none'"] {
            assert!(policy.contains(wanted), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}: {policy}");
    }
    test.close().await;
}
