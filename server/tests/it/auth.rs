//! Who may call what: every method and route against every kind of caller.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePublicKey};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use millrace_server::auth::{Issue, Role};
use serde_json::{Value, json};
use tonic::Code;

use crate::agent_grpc::Agent;
use crate::any_call::{all_methods, ends_with};
use crate::app::TestApp;

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum For {
    /// Whoever knows the address.
    Anybody,
    /// A registration token in the message; no caller is enough.
    RegistrationToken,
    /// A runner with its runner token.
    Runner,
    /// API tokens that allow this role.
    Role(Role),
    /// API tokens that allow one of these roles.
    Either(Role, Role),
}

const READ: For = For::Role(Role::Read);
const RUN: For = For::Role(Role::Run);
const CACHE_READ: For = For::Role(Role::CacheRead);
const CACHE_WRITE: For = For::Role(Role::CacheWrite);
const EXECUTE: For = For::Role(Role::Execute);
const QUEUE: For = For::Either(Role::Read, Role::Execute);
const ADMIN: For = For::Role(Role::Admin);

/// Every method. One that is not here, or is no more, fails the test.
const METHODS: &[(&str, For)] = &[
    ("pkg.proto.runner.v1.RunnerService/Ping", For::Anybody),
    ("pkg.proto.runner.v1.RunnerService/Register", For::RegistrationToken),
    ("pkg.proto.runner.v1.RunnerService/Declare", For::Runner),
    ("pkg.proto.runner.v1.RunnerService/FetchTask", For::Runner),
    ("pkg.proto.runner.v1.RunnerService/UpdateTask", For::Runner),
    ("pkg.proto.runner.v1.RunnerService/UpdateLog", For::Runner),
    ("millrace.v1.PipelineService/Validate", READ),
    ("millrace.v1.PipelineService/Run", RUN),
    ("millrace.v1.PipelineService/GetRun", READ),
    ("millrace.v1.PipelineService/ListRuns", READ),
    ("millrace.v1.PipelineService/WatchRun", READ),
    ("millrace.v1.PipelineService/WatchRuns", READ),
    ("millrace.v1.PipelineService/CancelRun", RUN),
    ("millrace.v1.PipelineService/TerminateRun", RUN),
    ("millrace.v1.PipelineService/SkipJob", RUN),
    ("millrace.v1.PipelineService/RunStage", RUN),
    ("millrace.v1.PipelineService/Rerun", RUN),
    ("millrace.v1.LogService/GetLog", READ),
    ("millrace.v1.LogService/ReadLines", READ),
    ("millrace.v1.LogService/Follow", READ),
    ("millrace.v1.LogService/Search", READ),
    ("millrace.v1.LogService/GetLogRoom", READ),
    ("log.v1.Log/Produce", For::Either(Role::Run, Role::CacheWrite)),
    ("log.v1.Log/ProduceStream", For::Either(Role::Run, Role::CacheWrite)),
    ("log.v1.Log/Consume", READ),
    ("log.v1.Log/ConsumeStream", READ),
    ("millrace.v1.CacheService/GetCache", CACHE_READ),
    ("millrace.v1.CacheService/ListCacheActivity", CACHE_READ),
    ("millrace.v1.CacheService/ListCacheActions", CACHE_READ),
    ("millrace.v1.RunnerService/ListRunners", READ),
    ("millrace.v1.RunnerService/CreateRegistrationToken", ADMIN),
    ("millrace.v1.RunnerService/RemoveRunner", ADMIN),
    ("millrace.v1.RunnerService/DrainRunner", ADMIN),
    ("millrace.v1.QueueService/GetQueue", QUEUE),
    ("millrace.v1.QueueService/WatchQueue", QUEUE),
    ("millrace.v1.QueueService/ListExecutions", QUEUE),
    ("millrace.v1.QueueService/GetExecution", QUEUE),
    ("millrace.v1.QueueService/WatchExecution", QUEUE),
    ("millrace.v1.QueueService/CancelExecution", ADMIN),
    ("millrace.v1.QueueService/MoveExecution", ADMIN),
    ("millrace.v1.QueueService/ReprioritizeExecution", ADMIN),
    ("millrace.v1.InvocationService/ListInvocations", QUEUE),
    ("millrace.v1.InvocationService/GetInvocation", QUEUE),
    ("millrace.v1.InvocationService/WatchInvocation", QUEUE),
    ("millrace.v1.InvocationService/ListInvocationTargets", QUEUE),
    ("millrace.v1.InvocationService/ListInvocationEvents", ADMIN),
    ("google.devtools.build.v1.PublishBuildEvent/PublishLifecycleEvent", CACHE_WRITE),
    ("google.devtools.build.v1.PublishBuildEvent/PublishBuildToolEventStream", CACHE_WRITE),
    ("build.bazel.remote.logstream.v1.LogStreamService/CreateLogStream", CACHE_WRITE),
    ("build.bazel.remote.execution.v2.Execution/Execute", EXECUTE),
    ("build.bazel.remote.execution.v2.Execution/WaitExecution", EXECUTE),
    ("google.longrunning.Operations/ListOperations", EXECUTE),
    ("google.longrunning.Operations/GetOperation", EXECUTE),
    ("google.longrunning.Operations/DeleteOperation", EXECUTE),
    ("google.longrunning.Operations/CancelOperation", EXECUTE),
    ("google.longrunning.Operations/WaitOperation", EXECUTE),
    ("build.bazel.remote.execution.v2.ActionCache/GetActionResult", CACHE_READ),
    ("build.bazel.remote.execution.v2.ActionCache/UpdateActionResult", CACHE_WRITE),
    ("build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs", CACHE_READ),
    ("build.bazel.remote.execution.v2.ContentAddressableStorage/BatchUpdateBlobs", CACHE_WRITE),
    ("build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs", CACHE_READ),
    ("build.bazel.remote.execution.v2.ContentAddressableStorage/GetTree", CACHE_READ),
    ("build.bazel.remote.execution.v2.ContentAddressableStorage/SplitBlob", CACHE_READ),
    ("build.bazel.remote.execution.v2.ContentAddressableStorage/GetChunkMapping", CACHE_READ),
    ("build.bazel.remote.execution.v2.ContentAddressableStorage/SpliceBlob", CACHE_WRITE),
    ("build.bazel.remote.execution.v2.ContentAddressableStorage/RegisterChunkMapping", CACHE_WRITE),
    ("build.bazel.remote.execution.v2.Capabilities/GetCapabilities", CACHE_READ),
    ("build.bazel.remote.asset.v1.Fetch/FetchBlob", CACHE_READ),
    ("build.bazel.remote.asset.v1.Fetch/FetchDirectory", CACHE_READ),
    ("build.bazel.remote.asset.v1.Push/PushBlob", CACHE_WRITE),
    ("build.bazel.remote.asset.v1.Push/PushDirectory", CACHE_WRITE),
    // Blobs by who reads the cache, logs by who reads runs.
    ("google.bytestream.ByteStream/Read", For::Either(Role::CacheRead, Role::Read)),
    ("google.bytestream.ByteStream/Write", CACHE_WRITE),
    ("google.bytestream.ByteStream/QueryWriteStatus", CACHE_WRITE),
    ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", For::Anybody),
    ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", For::Anybody),
    ("grpc.health.v1.Health/Check", For::Anybody),
    ("grpc.health.v1.Health/Watch", For::Anybody),
];

/// Every plain route.
const ROUTES: &[(&str, &str, For)] = &[
    ("POST", "/api/v1/pipeline/state", READ),
    ("POST", "/api/v1/pipeline/action", READ),
    ("POST", "/api/v1/pipeline/logs", READ),
    ("POST", "/api/v1/pipeline/download", RUN),
    ("POST", "/api/v1/pipeline/validate", RUN),
    ("POST", "/api/v1/pipeline/manual", RUN),
    ("POST", "/api/v1/pipeline/skip", RUN),
    ("POST", "/api/v1/pipeline/cancel", RUN),
    ("POST", "/api/v1/pipeline/terminate", RUN),
    ("POST", "/api/v1/pipeline/stage", RUN),
    ("GET", "/logs/some.log/raw", READ),
    ("GET", "/logs/some.log/raw?follow=1", READ),
    ("GET", "/metrics", READ),
    ("GET", "/healthz", For::Anybody),
    ("GET", "/readyz", For::Anybody),
    ("GET", "/version", For::Anybody),
    ("GET", "/api/session", For::Anybody),
    ("GET", "/cas/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", CACHE_READ),
    ("HEAD", "/p/cas/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", CACHE_READ),
    ("PUT", "/cas/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", CACHE_WRITE),
    ("GET", "/ac/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", CACHE_READ),
    ("PUT", "/p/ac/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", CACHE_WRITE),
    ("GET", "/cache/key", CACHE_READ),
    ("HEAD", "/p/cache/key", CACHE_READ),
    ("PUT", "/cache/key", CACHE_WRITE),
    ("DELETE", "/cache/key", CACHE_WRITE),
    ("PROPFIND", "/cache/folder/", CACHE_READ),
    ("MKCOL", "/cache/folder/", CACHE_WRITE),
    ("OPTIONS", "/cache/", For::Anybody),
    ("GET", "/cache", For::Anybody),
    ("GET", "/", For::Anybody),
];

/// What a caller is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    /// Nobody, or somebody who lies.
    Unknown,
    /// Has an API token with this role.
    Bearer(Role),
    /// A runner agent.
    Runner,
}

struct Callers(Vec<(String, Is, Option<String>)>);

impl Callers {
    async fn of(test: &TestApp) -> Self {
        let mut callers = vec![("nobody".to_owned(), Is::Unknown, None)];
        for (name, token) in forged(test).await {
            callers.push((name.to_owned(), Is::Unknown, Some(token)));
        }
        let roles =
            [Role::Read, Role::Run, Role::Runner, Role::CacheRead, Role::CacheWrite, Role::Execute, Role::Admin];
        for role in roles {
            callers.push((role.word().to_owned(), Is::Bearer(role), Some(test.token(role).await)));
        }
        let agent = Agent::register(test, "agent").await;
        callers.push(("a runner agent".to_owned(), Is::Runner, Some(agent.runner.token)));
        Self(callers)
    }
}

/// Tokens that look good and are not.
async fn forged(test: &TestApp) -> BTreeMap<&'static str, String> {
    let store = test.app.gate.tokens.store();
    let good = test.token(Role::Admin).await;
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("no JWT: {good}") };
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("JSON");
    let pem = std::fs::read_to_string(test.data().join("keys/token-signing.pem")).expect("the key");
    let public = SigningKey::from_pkcs8_pem(&pem).expect("a key").verifying_key();
    let key = EncodingKey::from_ed_pem(pem.as_bytes()).expect("a key");
    let resigned = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        encode(&Header::new(Algorithm::EdDSA), &claims, &key).expect("a token")
    };
    let with_secret = |secret: &[u8]| {
        encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret)).expect("a token")
    };
    let stranger = SigningKey::from_bytes(&[7; 32]);
    let stranger = ed25519_dalek::pkcs8::EncodePrivateKey::to_pkcs8_pem(&stranger, LineEnding::LF).expect("a key");
    let stranger = EncodingKey::from_ed_pem(stranger.as_bytes()).expect("a key");
    let none = URL_SAFE_NO_PAD.encode(json!({ "typ": "JWT", "alg": "none" }).to_string());
    let mut raised = claims.clone();
    raised["role"] = "admin".into();
    raised["sub"] = "somebody else".into();
    let raised = URL_SAFE_NO_PAD.encode(raised.to_string());
    let revoked = test.token(Role::Admin).await;
    let id = &store.list_tokens().await.expect("tokens")[0].id;
    store.revoke(id).await.expect("revoked");
    let expired = Issue { label: "old".into(), role: Role::Admin, project: String::new(), ttl_ms: -3_600_000 };
    BTreeMap::from([
        ("garbage", "garbage".into()),
        ("garbage with dots", "a.b.c".into()),
        ("a made-up runner token", format!("mrt_{}", "0".repeat(64))),
        ("no signature", format!("{header}.{payload}.")),
        ("alg none", format!("{none}.{payload}.")),
        ("alg none, signed", format!("{none}.{payload}.{signature}")),
        ("HS256 with the public PEM", with_secret(public.to_public_key_pem(LineEnding::LF).expect("PEM").as_bytes())),
        ("HS256 with the public bytes", with_secret(public.as_bytes())),
        ("another key", encode(&Header::new(Algorithm::EdDSA), &claims, &stranger).expect("a token")),
        ("another payload", format!("{header}.{raised}.{signature}")),
        ("another audience", resigned("aud", "else".into())),
        ("another issuer", resigned("iss", "else".into())),
        ("an unknown role", resigned("role", "root".into())),
        ("an unknown id", resigned("jti", "00000000-0000-0000-0000-000000000000".into())),
        ("expired", test.app.gate.tokens.issue(expired).await.expect("a token")),
        ("revoked", revoked),
    ])
}

/// The code a caller is kept out with; None: let in.
fn kept_out(who: Is, from: For) -> Option<Code> {
    match (from, who) {
        (For::Anybody, _) | (For::Runner, Is::Runner) => None,
        (For::RegistrationToken, _) | (_, Is::Unknown) => Some(Code::Unauthenticated),
        (For::Role(role), Is::Bearer(has)) if has.allows(role) => None,
        (For::Role(role), Is::Runner) if Role::Runner.allows(role) => None,
        (For::Either(one, other), Is::Runner) if Role::Runner.allows(one) || Role::Runner.allows(other) => None,
        (For::Either(one, other), Is::Bearer(has)) if has.allows(one) || has.allows(other) => None,
        // An API token with this role is still no runner: it has no job.
        (For::Runner | For::Role(_) | For::Either(..), Is::Bearer(_) | Is::Runner) => Some(Code::PermissionDenied),
    }
}

#[test]
fn every_method_has_its_place_in_the_table() {
    let mut served = all_methods();
    let mut listed: Vec<String> = METHODS.iter().map(|(method, _)| (*method).to_owned()).collect();
    served.sort();
    listed.sort();
    assert_eq!(served, listed, "a method was added or removed: say who may call it");
}

#[tokio::test]
async fn every_method_lets_in_whom_it_should_and_nobody_else() {
    let test = TestApp::with_tokens().await;
    let callers = Callers::of(&test).await;
    let mut wrong = Vec::new();
    for (method, from) in METHODS {
        for (name, who, token) in &callers.0 {
            // A runner is let in to FetchTask: it would wait.
            if method.ends_with("/FetchTask") && *who == Is::Runner {
                continue;
            }
            let (code, message) = ends_with(&test, method, token.as_deref()).await;
            let right = match kept_out(*who, *from) {
                Some(wanted) => code == wanted,
                // Let in, and told that there is no such job.
                None if *from == For::Runner => !message.contains("token") && code != Code::Unauthenticated,
                None => !matches!(code, Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented),
            };
            if !right {
                wrong.push(format!("{method} for {name}: {code:?} {message}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    test.close().await;
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let test = TestApp::with_tokens().await;
    let callers = Callers::of(&test).await;
    let client = reqwest::Client::new();
    let mut wrong = Vec::new();
    for (method, path, from) in ROUTES {
        for (name, who, token) in &callers.0 {
            let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
            let mut request = client.request(method.clone(), format!("{}{path}", test.url));
            if method == "POST" {
                request = request.header("content-type", "application/json").body("{}");
            }
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            let challenge = answer.headers().contains_key("www-authenticate");
            let right = match kept_out(*who, *from) {
                Some(Code::Unauthenticated) => status == 401 && challenge,
                Some(_) => status == 403,
                None => !matches!(status, 401 | 403) && (status < 500),
            };
            if !right {
                wrong.push(format!("{method} {path} for {name}: {status} {}", answer.text().await.expect("text")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    test.close().await;
}

#[tokio::test]
async fn a_token_in_two_places_is_the_one_in_the_authorization_header() {
    let test = TestApp::with_tokens().await;
    let admin = test.admin.clone().expect("a token");
    let get = async |authorization: Option<&str>, cookie: Option<&str>| {
        let mut request = reqwest::Client::new().get(format!("{}/metrics", test.url));
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        if let Some(value) = cookie {
            request = request.header("cookie", value);
        }
        request.send().await.expect("an answer").status().as_u16()
    };
    let session = format!("millrace_session={admin}");
    assert_eq!(get(None, Some(&session)).await, 200);
    assert_eq!(get(None, Some(&format!("a=b; {session}; c=d"))).await, 200);
    assert_eq!(get(None, Some(&format!("not_millrace_session={admin}"))).await, 401);
    assert_eq!(get(Some("Bearer garbage"), Some(&session)).await, 401, "what is said is not overruled");
    assert_eq!(get(Some(&format!("bearer {admin}")), None).await, 200);
    for odd in ["Basic YTpi", "Bearer", "Bearer ", &admin] {
        assert_eq!(get(Some(odd), None).await, 401, "{odd}");
    }
    test.close().await;
}

#[tokio::test]
async fn forwarded_headers_of_strangers_change_nothing() {
    let test = TestApp::with_tokens().await;
    let client = reqwest::Client::new();
    let mut request = client.get(format!("{}/metrics", test.url));
    for name in ["x-forwarded-for", "x-real-ip", "forwarded", "x-forwarded-user", "x-forwarded-host", "x-remote-user"] {
        request = request.header(name, "127.0.0.1");
    }
    assert_eq!(request.send().await.expect("an answer").status(), 401);
    test.close().await;
}
