//! The HTTP cache as its tools use it: hashes, action results, keys, WebDAV.

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use millrace_server::auth::Role;
use millrace_server::config::RawCacheConfig;
use prost::Message;
use reqwest::{Client, Method, RequestBuilder, Response};

use crate::app::{Options, TestApp, within};
use crate::cas_client::{Remote, digest, noise, result};

struct Http<'a> {
    test: &'a TestApp,
    client: Client,
}

impl<'a> Http<'a> {
    fn of(test: &'a TestApp) -> Self {
        Self { test, client: Client::builder().http1_only().build().expect("a client") }
    }

    fn ask(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.client.request(method, format!("{}{path}", self.test.url))
    }

    async fn send(&self, request: RequestBuilder) -> Response {
        within("an answer", request.send()).await.expect("an answer")
    }

    async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let answer = self.send(self.ask("GET", path)).await;
        (answer.status().as_u16(), answer.bytes().await.expect("a body").to_vec())
    }

    async fn put(&self, path: &str, body: &[u8]) -> u16 {
        self.send(self.ask("PUT", path).body(body.to_vec())).await.status().as_u16()
    }

    async fn status(&self, method: &str, path: &str) -> u16 {
        self.send(self.ask(method, path)).await.status().as_u16()
    }
}

fn header(answer: &Response, name: &str) -> String {
    answer.headers().get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn blobs_by_hash_are_those_of_grpc() {
    let test = TestApp::open().await;
    let http = Http::of(&test);
    for (prefix, instance) in [("", ""), ("/some/project", "some/project")] {
        let remote = Remote::within(&test, instance);
        // More than axum's own limit of a body.
        for content in [noise(1_000, 1), noise(5_000_000, 2)] {
            let blob = digest(&content);
            let path = format!("{prefix}/cas/{}", blob.hash);
            assert_eq!(http.get(&path).await.0, 404);
            assert_eq!(http.status("HEAD", &path).await, 404);
            assert_eq!(http.put(&path, &content).await, 201);
            assert_eq!(http.put(&path, &content).await, 200, "again");
            assert!(http.get(&path).await == (200, content.clone()));
            assert!(remote.read(&remote.read_name(&blob)).await.expect("by gRPC") == content);
            let head = http.send(http.ask("HEAD", &path)).await;
            assert_eq!(header(&head, "content-length"), content.len().to_string());
            assert_eq!(header(&head, "content-type"), "application/octet-stream");
            assert_eq!(header(&head, "x-content-type-options"), "nosniff");
        }
        let by_grpc = remote.put_one(b"by gRPC").await;
        assert_eq!(http.get(&format!("{prefix}/cas/{}", by_grpc.hash)).await, (200, b"by gRPC".to_vec()));
        assert_eq!(http.get(&format!("{prefix}/cas/{}", digest(b"").hash)).await, (200, Vec::new()));
    }
    let blake = blake3::hash(b"blake").to_hex();
    assert_eq!(http.put(&format!("/cas/blake3/{blake}"), b"blake").await, 201);
    assert_eq!(http.get(&format!("/cas/blake3/{blake}")).await, (200, b"blake".to_vec()));
    assert_eq!(http.get(&format!("/cas/{blake}")).await.0, 404, "without its name it is a SHA-256");
    assert_eq!(http.get(&format!("/elsewhere/cas/{}", digest(&noise(1_000, 1)).hash)).await.0, 404);
    test.close().await;
}

#[tokio::test]
async fn a_body_that_lies_is_refused_and_leaves_nothing() {
    let test = TestApp::open().await;
    let http = Http::of(&test);
    let remote = Remote::of(&test);
    let path = format!("/cas/{}", digest(b"right").hash);
    let answer = http.send(http.ask("PUT", &path).body("wrong")).await;
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.expect("text").contains("hash"));
    assert!(!remote.has(&digest(b"right")).await && !remote.has(&digest(b"wrong")).await);
    for bad in ["/cas/xyz", &path.to_uppercase().replace("/CAS", "/cas"), "/cas/sha512/ab", "/a//b/cas/00"] {
        assert_eq!(http.put(bad, b"x").await, 400, "{bad}");
        assert_eq!(http.get(bad).await.0, 400, "{bad}");
    }
    let md5 = "/cas/9dd4e461268c8034f5c8564e155c67a6";
    assert_eq!(http.put(md5, b"x").await, 400, "MD5 is off");
    let part = http.send(http.ask("PUT", &path).header("content-range", "bytes 0-1/5").body("ri")).await;
    assert_eq!(part.status(), 400);
    let gzip = http.send(http.ask("PUT", &path).header("content-encoding", "gzip").body("x")).await;
    assert_eq!(gzip.status(), 415);
    assert_eq!(http.status("DELETE", &path).await, 405);
    assert_eq!(http.status("POST", &path).await, 405);
    test.close().await;
}

#[tokio::test]
async fn parts_conditions_and_zstd() {
    let test = TestApp::open().await;
    let http = Http::of(&test);
    let content: Vec<u8> = b"all work and no play ".iter().copied().cycle().take(300_000).collect();
    let path = format!("/cas/{}", digest(&content).hash);
    let packed = zstd::encode_all(&content[..], 3).expect("packs");
    let answer = http.send(http.ask("PUT", &path).header("content-encoding", "zstd").body(packed)).await;
    assert_eq!(answer.status(), 201);
    for (range, wanted, status) in [
        ("bytes=0-9", &content[..10], 206),
        ("bytes=299990-", &content[299_990..], 206),
        ("bytes=-5", &content[299_995..], 206),
        ("bytes=100000-200000", &content[100_000..=200_000], 206),
        ("bytes=300000-", &b""[..], 416),
    ] {
        let answer = http.send(http.ask("GET", &path).header("range", range)).await;
        assert_eq!(answer.status(), status, "{range}");
        let told = header(&answer, "content-range");
        assert!(told.ends_with("/300000"), "{range}: {told}");
        assert!(answer.bytes().await.expect("a body") == wanted, "{range}");
    }
    let tag = header(&http.send(http.ask("HEAD", &path)).await, "etag");
    assert_eq!(tag, format!("\"{}\"", digest(&content).hash));
    let known = http.send(http.ask("GET", &path).header("if-none-match", &tag)).await;
    assert_eq!((known.status().as_u16(), header(&known, "etag")), (304, tag.clone()));
    let other = http.send(http.ask("GET", &path).header("if-match", "\"other\"")).await;
    assert_eq!(other.status(), 412);
    let stale = http.send(http.ask("GET", &path).header("range", "bytes=0-9").header("if-range", "\"other\"")).await;
    assert_eq!(stale.status(), 200, "another content: all of it");
    let answer = http.send(http.ask("GET", &path).header("accept-encoding", "zstd")).await;
    assert_eq!(header(&answer, "content-encoding"), "zstd");
    let packed = answer.bytes().await.expect("a body");
    assert!(packed.len() < 50_000, "{}", packed.len());
    assert!(zstd::decode_all(&packed[..]).expect("zstd") == content);
    let head = http.send(http.ask("HEAD", &path).header("accept-encoding", "zstd")).await;
    assert_eq!((header(&head, "content-encoding"), header(&head, "etag")), ("zstd".into(), format!("W/{tag}")));
    assert_eq!(header(&head, "content-length"), "", "nobody knows it yet");
    let page = http.send(http.ask("HEAD", "/cache").header("accept-encoding", "gzip")).await;
    assert_eq!((header(&page, "content-encoding"), header(&page, "content-length")), ("gzip".into(), String::new()));
    assert_eq!(http.send(http.ask("GET", &path).header("accept-encoding", "identity;q=0")).await.status(), 406);
    // Conditions come before ranges, of which HEAD knows none.
    for (method, name, value, status) in [
        ("GET", "if-none-match", &*tag, 304),
        ("GET", "if-match", "\"other\"", 412),
        ("GET", "if-match", &tag, 416),
        ("GET", "if-range", "\"other\"", 200),
        ("HEAD", "if-match", &tag, 200),
        ("HEAD", "if-match", "\"other\"", 412),
    ] {
        let answer = http.send(http.ask(method, &path).header("range", "bytes=300000-").header(name, value)).await;
        assert_eq!(answer.status(), status, "{method} {name} {value}");
        let lasts = header(&answer, "cache-control").contains("immutable");
        assert_eq!(lasts, status < 400, "a refusal is not kept: {method} {name} {value}");
    }
    test.close().await;
}

#[tokio::test]
async fn action_results_are_those_of_grpc() {
    let test = TestApp::open().await;
    let http = Http::of(&test);
    let remote = Remote::within(&test, "p");
    let output = remote.put_one(b"output").await;
    let stored = re::ActionResult {
        execution_metadata: Some(re::ExecutedActionMetadata { worker: "w".into(), ..Default::default() }),
        ..result(&[("bin/tool", &output)])
    };
    let (by_http, by_grpc) = (digest(b"by HTTP"), digest(b"by gRPC"));
    let path = |action: &re::Digest| format!("/p/ac/{}", action.hash);
    assert_eq!(http.get(&path(&by_http)).await.0, 404);
    assert_eq!(http.put(&path(&by_http), &stored.encode_to_vec()).await, 200);
    assert_eq!(remote.action(&by_http).await.expect("a hit by gRPC"), stored);
    remote.update_action(&by_grpc, stored.clone()).await.expect("stored");
    let (status, body) = http.get(&path(&by_grpc)).await;
    assert_eq!((status, re::ActionResult::decode(&body[..]).expect("a result")), (200, stored));
    let answer = http.send(http.ask("GET", &path(&by_http)).header("accept", "application/json")).await;
    assert_eq!(header(&answer, "content-type"), "application/json");
    let tag = header(&answer, "etag");
    let json: serde_json::Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    assert_eq!(json["outputFiles"][0]["path"], "bin/tool");
    let again = http.ask("GET", &path(&by_http)).header("accept", "application/json").header("if-none-match", tag);
    assert_eq!(http.send(again).await.status(), 304);
    // A result that names what is not here is a miss here, too.
    let broken = result(&[("f", &digest(b"absent"))]).encode_to_vec();
    http.put(&path(&digest(b"broken")), &broken).await;
    assert_eq!(http.get(&path(&digest(b"broken"))).await.0, 404);
    let answer = http.send(http.ask("PUT", &path(&by_http)).body(vec![0xFF; 100])).await;
    assert_eq!(answer.status(), 400);
    let told = answer.text().await.expect("text");
    assert!(told.contains("ActionResult") && told.contains("--cache-opaque-actions"), "{told}");
    assert_eq!(http.put(&path(&by_http), &vec![0; 5_000_000]).await, 413);
    test.close().await;
}

#[tokio::test]
async fn any_bytes_are_taken_as_action_results_where_a_setting_says_so() {
    let cache = RawCacheConfig { opaque_actions: true, ..Default::default() };
    let test = TestApp::start(Options { cache, ..Options::default() }).await;
    let http = Http::of(&test);
    let path = format!("/ac/{}", digest(b"key").hash);
    for body in [vec![0xFF; 100], noise(6_000_000, 1)] {
        assert!(matches!(http.put(&path, &body).await, 201 | 204));
        assert!(http.get(&path).await == (200, body));
    }
    assert_eq!(Remote::of(&test).action(&digest(b"key")).await.expect_err("apart").code(), tonic::Code::NotFound);
    assert_eq!(http.status("DELETE", &path).await, 204);
    assert_eq!(http.status("DELETE", &path).await, 404);
    assert_eq!(http.get(&path).await.0, 404);
    test.close().await;
}

#[tokio::test]
async fn keys_of_any_shape() {
    let test = TestApp::open().await;
    let http = Http::of(&test);
    let key = "/cache/0123456789abcdef0123456789abcdef";
    for path in [key, "/cache/ab/cdef", "/cache/a%20b/%C3%BC", "/p/q/cache/x", "/cache/cas/x", "/cache/.sccache_check"]
    {
        assert_eq!(http.get(path).await.0, 404, "{path}");
        assert_eq!(http.put(path, path.as_bytes()).await, 201, "{path}");
        assert_eq!(http.get(path).await, (200, path.as_bytes().to_vec()));
        assert_eq!(http.put(path, b"replaced").await, 204, "{path}");
        assert_eq!(http.get(path).await, (200, b"replaced".to_vec()));
    }
    assert_eq!(http.get("/cache/p/q/x").await.0, 404, "instances are apart");
    let large = noise(5_000_000, 1);
    assert_eq!(http.put(key, &large).await, 204);
    assert!(http.get(key).await == (200, large));
    let head = http.send(http.ask("HEAD", key)).await;
    assert_eq!(header(&head, "content-length"), "5000000");
    assert!(header(&head, "last-modified").ends_with(" GMT"));
    let changed = header(&head, "last-modified");
    assert_eq!(http.send(http.ask("GET", key).header("if-modified-since", &changed)).await.status(), 304);
    for (name, time, status) in [
        ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT", 412),
        ("if-unmodified-since", &changed, 200),
    ] {
        assert_eq!(http.send(http.ask("GET", key).header(name, time)).await.status(), status, "{name}: {time}");
    }
    let only_new = http.ask("PUT", key).header("if-none-match", "*").body("x");
    assert_eq!(http.send(only_new).await.status(), 412);
    assert_eq!(http.status("DELETE", key).await, 204);
    assert_eq!((http.get(key).await.0, http.status("DELETE", key).await), (404, 404));
    assert_eq!(http.put("/cache/folder/", b"x").await, 400);
    assert_eq!(http.put(&format!("/cache/{}", "x".repeat(5_000)), b"x").await, 400);
    // The page is the web app's, and so is what a person goes to below it.
    let (status, page) = http.get("/cache").await;
    assert!(status == 200 && String::from_utf8_lossy(&page).contains("<html"));
    let person = http.ask("GET", "/cache/actions/x").header("sec-fetch-dest", "document");
    assert_eq!(header(&http.send(person).await, "content-type"), "text/html");
    test.close().await;
}

#[tokio::test]
async fn webdav_as_compiler_caches_ask_for_it() {
    let test = TestApp::open().await;
    let http = Http::of(&test);
    for folder in ["/cache/", "/cache/a/b/", "/p/cache/x/", "/cache"] {
        for depth in ["0", "1"] {
            let answer = http.send(http.ask("PROPFIND", folder).header("depth", depth)).await;
            assert_eq!(answer.status(), 207, "{folder}");
            assert!(header(&answer, "content-type").starts_with("application/xml"));
            let xml = answer.text().await.expect("text");
            assert!(xml.contains("<D:collection/>") && xml.contains(&format!("<D:href>{folder}</D:href>")), "{xml}");
        }
    }
    assert_eq!(http.status("MKCOL", "/cache/a/").await, 201);
    assert_eq!(http.status("PROPFIND", "/cache/a/key").await, 404);
    assert_eq!(http.put("/cache/a/key", b"12345").await, 201);
    let xml = http.send(http.ask("PROPFIND", "/cache/a/key")).await.text().await.expect("text");
    assert!(xml.contains("<D:getcontentlength>5</D:getcontentlength>") && !xml.contains("collection"), "{xml}");
    let options = http.send(http.ask("OPTIONS", "/cache/a/")).await;
    assert_eq!(header(&options, "dav"), "1");
    assert!(header(&options, "allow").contains("PROPFIND"));
    for method in ["LOCK", "COPY", "MOVE", "PROPPATCH", "POST"] {
        let answer = http.send(http.ask(method, "/cache/a/key")).await;
        assert_eq!(answer.status(), 405, "{method}");
        assert!(header(&answer, "allow").contains("PROPFIND"), "{method}");
    }
    test.close().await;
}

#[tokio::test]
async fn a_token_is_a_password_and_the_limit_is_kept() {
    let cache = RawCacheConfig { blob_max: Some("1MB".into()), ..Default::default() };
    let test = TestApp::start(Options { open: false, cache, ..Options::default() }).await;
    let http = Http::of(&test);
    let (reader, writer) = (test.token(Role::CacheRead).await, test.token(Role::CacheWrite).await);
    let answer = http.send(http.ask("GET", "/cache/x")).await;
    assert_eq!(answer.status(), 401);
    let challenges: Vec<&str> =
        answer.headers().get_all("www-authenticate").iter().map(|one| one.to_str().expect("text")).collect();
    assert!(challenges.iter().any(|one| one.starts_with("Basic")) && challenges.contains(&"Bearer"), "{challenges:?}");
    let put = |user: &str, password: Option<&str>| http.ask("PUT", "/cache/x").basic_auth(user, password).body("x");
    assert_eq!(http.send(put("anybody", Some(&writer))).await.status(), 201);
    assert_eq!(http.send(put(&writer, None)).await.status(), 204, "as the user, without a password");
    assert_eq!(http.send(put("anybody", Some(&reader))).await.status(), 403);
    assert_eq!(http.send(put("anybody", Some("garbage"))).await.status(), 401);
    assert_eq!(http.send(http.ask("GET", "/cache/x").basic_auth("gradle", Some(&reader))).await.status(), 200);
    assert_eq!(http.send(http.ask("GET", "/cache/x").bearer_auth(&reader)).await.status(), 200);
    let bound = test.token_for(Role::CacheWrite, "mine").await;
    assert_eq!(http.send(http.ask("PUT", "/mine/cache/x").bearer_auth(&bound).body("x")).await.status(), 201);
    assert_eq!(http.send(http.ask("GET", "/cache/x").bearer_auth(&bound)).await.status(), 404);
    let foreign = http.ask("PUT", "/cache/x").bearer_auth(&writer).header("origin", "https://example.org").body("x");
    assert_eq!(http.send(foreign).await.status(), 403, "a page of another site");

    let large = noise(1_000_001, 1);
    for path in ["/cache/large".to_owned(), format!("/cas/{}", digest(&large).hash)] {
        let told = http.ask("PUT", &path).bearer_auth(&writer).body(large.clone());
        let answer = http.send(told).await;
        assert_eq!(answer.status(), 413, "{path}");
        assert!(answer.text().await.expect("text").contains("1000000"));
        let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
            large.chunks(100_000).map(|part| Ok(part.to_vec())).collect();
        let untold = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
        let answer = http.send(http.ask("PUT", &path).bearer_auth(&writer).body(untold)).await;
        assert_eq!(answer.status(), 413, "{path} without a length");
    }
    test.close().await;
}
