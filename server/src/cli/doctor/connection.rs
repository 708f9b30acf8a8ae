//! Checks of the way to the server and of what answers there.

use std::time::{Duration, Instant, SystemTime};

use connectrpc::{ErrorCode, client::CallOptions};
use http::{HeaderMap, header::DATE};
use millrace_proto::millrace::v1::ListRunsRequest;

use super::Check;
use crate::cli::{
    client::{Http, Server, ServerArgs},
    port_owner::{PortState, port_state},
};

/// Above it tokens may count as not yet valid, and times in logs mislead.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(30);
const CLOCK_SKEW_NOTABLE: Duration = Duration::from_secs(3);
const CALL_MAX: Duration = Duration::from_secs(10);

/// Reachable over HTTP/1.1, which any proxy passes.
pub async fn http1(args: &ServerArgs) -> Check {
    let server = match Server::speaking(args, Http::One) {
        Ok(server) => server,
        Err(error) => return Check::failed("http1", error.message, error.next),
    };
    let begun = Instant::now();
    match server.get("/healthz").await {
        Ok(answer) if answer.status().is_success() => Check::fine(
            "http1",
            format!("{} answers over HTTP/1.1 in {} ms", server.url(), begun.elapsed().as_millis()),
        ),
        Ok(answer) => Check::failed(
            "http1",
            format!("something answers at {} with {}, but not as Millrace does", server.url(), answer.status()),
            holder_fix(&server),
        ),
        Err(error) => {
            let fix = if server.is_loopback() { loopback_fix(&server) } else { remote_fix(&server) };
            Check::failed("http1", format!("{} can't be reached: {error}", server.url()), fix)
        }
    }
}

/// Reachable over HTTP/2, which gRPC clients need.
pub async fn http2(args: &ServerArgs) -> Check {
    let server = match Server::speaking(args, Http::Two) {
        Ok(server) => server,
        Err(error) => return Check::failed("http2", error.message, error.next),
    };
    match server.get("/healthz").await {
        Ok(answer) if answer.status().is_success() => Check::fine("http2", "answers over HTTP/2 (gRPC works)"),
        Ok(answer) => Check::failed("http2", format!("answered {}", answer.status()), PROXY_FIX),
        Err(error) => Check::failed("http2", format!("no HTTP/2: {error}"), PROXY_FIX),
    }
}

const PROXY_FIX: &str = "a proxy in front must pass HTTP/2 on (nginx: grpc_pass; Caddy and Envoy: h2c); without it the \
                         web pages, runners and this command line work, gRPC clients such as Bazel do not";

/// Whether what is said can be overheard.
pub fn encryption(server: &Server) -> Check {
    if server.url().starts_with("https://") {
        return Check::fine("tls", "the certificate is trusted");
    }
    if server.is_loopback() {
        return Check::fine("tls", "not used, and not needed on one machine");
    }
    Check::warning(
        "tls",
        "not used: tokens and logs can be read on the way",
        "serve with --tls-cert and --tls-key, or put a proxy that does TLS in front",
    )
}

/// A Millrace server, and which.
pub async fn version(server: &Server) -> Check {
    let here = env!("CARGO_PKG_VERSION");
    let answer = match server.get("/version").await {
        Ok(answer) => answer,
        Err(error) => return Check::failed("version", error, "try again"),
    };
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    match (body["version"].as_str(), body["commit"].as_str()) {
        (Some(version), commit) => {
            let commit = commit.filter(|commit| !commit.is_empty()).map_or_else(String::new, |c| format!(" ({c})"));
            let found = format!("server {version}{commit}, this command {here}");
            if version == here {
                Check::fine("version", found)
            } else {
                Check::warning("version", found, "use the same version on both sides if something odd happens")
            }
        }
        (None, _) => Check::failed(
            "version",
            format!("{}/version is not what a Millrace server answers", server.url()),
            holder_fix(server),
        ),
    }
}

/// Both clocks agree.
pub async fn clock(server: &Server, now: SystemTime) -> Check {
    let answer = match server.get("/healthz").await {
        Ok(answer) => answer,
        Err(error) => return Check::failed("clock", error, "try again"),
    };
    let Some(theirs) = date_of(answer.headers()) else {
        return Check::not_checked("clock", "the server's answer has no Date");
    };
    judge_clock(now, theirs)
}

fn judge_clock(ours: SystemTime, theirs: SystemTime) -> Check {
    let (skew, word) = match ours.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    let found = format!("this machine is {} s {word} the server", skew.as_secs());
    let fix = "let both machines follow a time server (Linux: timedatectl set-ntp true)";
    if skew > CLOCK_SKEW_MAX {
        Check::failed("clock", found, fix)
    } else if skew > CLOCK_SKEW_NOTABLE {
        Check::warning("clock", found, fix)
    } else {
        Check::fine("clock", "agrees with the server's")
    }
}

/// "Sun, 22 Nov 2026 14:31:07 GMT"; to the second.
fn date_of(headers: &HeaderMap) -> Option<SystemTime> {
    let text = headers.get(DATE)?.to_str().ok()?;
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(SystemTime::from(time))
}

/// Whether the server lets the caller read.
pub async fn token(server: &Server, given: bool) -> Check {
    let request = ListRunsRequest { page_size: 1, ..Default::default() };
    let options = CallOptions::default().with_timeout(CALL_MAX);
    let with = if given { "the token is accepted" } else { "accepted without one (development server)" };
    match server.pipelines().list_runs_with_options(request, options).await {
        Ok(_) => Check::fine("token", with),
        Err(error) => {
            let said = error.message.clone().unwrap_or_default();
            match error.code {
                ErrorCode::Unauthenticated if given => Check::failed(
                    "token",
                    format!("not accepted: {said}"),
                    "it may have expired or be another server's; `millrace token create` on the server makes a new one",
                ),
                ErrorCode::Unauthenticated => Check::failed(
                    "token",
                    "the server wants one",
                    "set MILLRACE_TOKEN; `millrace token create` on the server makes one",
                ),
                ErrorCode::PermissionDenied => Check::failed(
                    "token",
                    format!("accepted, but its role may not read runs: {said}"),
                    "use one of role read or more",
                ),
                _ => Check::failed("token", format!("listing runs failed: {said}"), "look at the server's own log"),
            }
        }
    }
}

fn loopback_fix(server: &Server) -> String {
    match port_of(server).map(port_state) {
        Some(PortState::Held(Some(holder))) => {
            format!("{holder} holds the port; stop it, or use another: `millrace dev --listen 127.0.0.1:8081`")
        }
        Some(PortState::Held(None)) => {
            "another process holds the port; stop it, or use another: `millrace dev --listen 127.0.0.1:8081`".to_owned()
        }
        Some(PortState::Free) => "nothing listens there; start a server with `millrace dev`".to_owned(),
        Some(PortState::Unknown) | None => "start a server with `millrace dev`".to_owned(),
    }
}

fn holder_fix(server: &Server) -> String {
    if server.is_loopback()
        && let Some(PortState::Held(Some(holder))) = port_of(server).map(port_state)
    {
        return format!("{holder} holds the port; stop it, or name another address with --server");
    }
    "name the right address with --server".to_owned()
}

fn remote_fix(server: &Server) -> String {
    let mut fix = "check the name and the port, that the server runs, and that no firewall is between".to_owned();
    if server.url().starts_with("https://") {
        fix.push_str("; for a certificate of your own give --ca-cert FILE");
    }
    fix
}

fn port_of(server: &Server) -> Option<u16> {
    let uri: http::Uri = server.url().parse().ok()?;
    uri.port_u16().or_else(|| Some(if uri.scheme_str() == Some("https") { 443 } else { 80 }))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::cli::doctor::Verdict;

    fn args(url: &str) -> ServerArgs {
        ServerArgs { server: url.to_owned(), token: None, ca_cert: None }
    }

    #[test]
    fn clocks_are_judged_by_how_far_they_are_apart() {
        let now = SystemTime::now();
        let verdict = |ours, theirs| judge_clock(ours, theirs).verdict;
        assert_eq!(verdict(now, now), Verdict::Fine);
        assert_eq!(verdict(now + Duration::from_secs(5), now), Verdict::Warning);
        assert_eq!(verdict(now, now + Duration::from_secs(31)), Verdict::Failed);
        assert!(judge_clock(now, now + Duration::from_secs(93)).found.contains("93 s behind"));
    }

    #[test]
    fn the_date_header_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, "Thu, 01 Jan 1970 00:00:10 GMT".parse().unwrap());
        assert_eq!(date_of(&headers), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(10)));
    }

    #[tokio::test]
    async fn a_dead_port_says_what_to_start() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let check = http1(&args(&format!("http://127.0.0.1:{port}"))).await;
        assert_eq!(check.verdict, Verdict::Failed);
        assert!(check.found.contains("refused"), "{}", check.found);
        assert!(check.fix.contains("millrace dev"), "{}", check.fix);
    }

    #[test]
    fn plain_http_to_another_machine_is_worth_a_warning() {
        let verdict = |url| encryption(&Server::new(&args(url)).unwrap()).verdict;
        assert_eq!(verdict("http://localhost:8080"), Verdict::Fine);
        assert_eq!(verdict("http://ci.example.org"), Verdict::Warning);
        assert_eq!(verdict("https://ci.example.org"), Verdict::Fine);
    }
}
