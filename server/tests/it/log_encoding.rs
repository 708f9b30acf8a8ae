//! Logs packed on their way to the client: by what it accepts, in whole and in part, live, and unpacked by programs of
//! somebody else.

use std::io::Read;
use std::process::Stdio;

use millrace_bench::wire::millrace_v1::Run;
use millrace_bench::wire::runner_v1::UpdateLogRequest;
use reqwest::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_NONE_MATCH, IF_RANGE,
    RANGE, VARY,
};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::agent_grpc::{Agent, log_of, update_of};
use crate::app::{TestApp, within};

const ONE_JOB: &str = "jobs:\n  one:\n    runs-on: stock\n    steps:\n      - run: echo first\n";

/// A log that an agent writes.
struct Scene {
    test: TestApp,
    agent: Agent,
    run: Run,
    log: String,
}

impl Scene {
    async fn new() -> Self {
        let test = TestApp::open().await;
        let mut agent = Agent::register(&test, "printer").await;
        let run = test.run(ONE_JOB).await;
        agent.fetch("", 0).await.expect("a task");
        agent.client.update_task(update_of(&run, "running")).await.expect("running");
        let log = test.get(&run.id).await.jobs[0].steps[0].log_id.clone();
        Self { test, agent, run, log }
    }

    async fn print(&mut self, index: i64, rows: &[&str], no_more: bool) {
        let rows = UpdateLogRequest { index, no_more, ..log_of(&self.run, rows) };
        self.agent.client.update_log(rows).await.expect("stored");
    }

    fn url(&self, query: &str) -> String {
        format!("{}/logs/{}/raw{query}", self.test.url, self.log)
    }

    async fn ask(&self, method: reqwest::Method, query: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let mut request = reqwest::Client::new().request(method, self.url(query));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        within("the log", request.send()).await.expect("an answer")
    }

    async fn get(&self, query: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        self.ask(reqwest::Method::GET, query, headers).await
    }
}

fn unpacked(encoding: Option<&str>, bytes: &[u8]) -> Vec<u8> {
    match encoding {
        None => bytes.to_vec(),
        Some("zstd") => zstd::decode_all(bytes).expect("zstd"),
        Some("gzip") => {
            let mut out = Vec::new();
            flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).expect("gzip");
            out
        }
        Some(other) => panic!("{other}"),
    }
}

fn named(answer: &reqwest::Response, name: reqwest::header::HeaderName) -> Option<String> {
    answer.headers().get(name).map(|value| value.to_str().expect("text").to_owned())
}

/// Many lines, so that more than one piece is packed.
fn lines() -> Vec<String> {
    (0..20_000).map(|line| format!("line {line} of what a step prints, again and again")).collect()
}

#[tokio::test]
async fn by_what_the_client_accepts_whole_and_in_part() {
    let mut scene = Scene::new().await;
    let lines = lines();
    scene.print(0, &lines.iter().map(String::as_str).collect::<Vec<_>>(), true).await;
    let text = lines.join("\n") + "\n";
    for (accept, encoding) in [
        ("", None),
        ("identity", None),
        ("zstd", Some("zstd")),
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip", Some("gzip")),
        ("gzip;q=1.0, zstd;q=0.5", Some("gzip")),
        ("zstd;q=0, gzip;q=0", None),
        ("*", Some("zstd")),
        ("identity;q=0, gzip", Some("gzip")),
        ("br", None),
    ] {
        let answer = scene.get("", &[(ACCEPT_ENCODING.as_str(), accept)]).await;
        assert_eq!(answer.status(), 200, "{accept}");
        assert_eq!(named(&answer, CONTENT_ENCODING).as_deref(), encoding, "{accept}");
        assert_eq!(named(&answer, VARY).as_deref(), Some("Accept-Encoding"), "{accept}");
        assert_eq!(named(&answer, ACCEPT_RANGES).as_deref(), Some("bytes"), "{accept}");
        let length = named(&answer, CONTENT_LENGTH);
        assert_eq!(length, encoding.is_none().then(|| text.len().to_string()), "{accept}");
        let tag = named(&answer, ETAG).expect("a tag: it is complete");
        assert_eq!(tag.trim_matches('"').rsplit('-').next() == encoding, encoding.is_some(), "{accept}: {tag}");
        let bytes = answer.bytes().await.expect("bytes");
        assert!(encoding.is_none() || bytes.len() * 5 < text.len(), "{accept}: {} bytes", bytes.len());
        assert!(unpacked(encoding, &bytes) == text.as_bytes(), "{accept}");

        // The same without the body.
        let head = scene.ask(reqwest::Method::HEAD, "", &[(ACCEPT_ENCODING.as_str(), accept)]).await;
        assert_eq!((head.status().as_u16(), named(&head, ETAG)), (200, Some(tag.clone())), "{accept}");
        assert_eq!(named(&head, CONTENT_ENCODING).as_deref(), encoding, "{accept}");
        // Known already.
        let headers = [(ACCEPT_ENCODING.as_str(), accept), (IF_NONE_MATCH.as_str(), tag.as_str())];
        let known = scene.get("", &headers).await;
        assert_eq!((known.status().as_u16(), named(&known, ETAG)), (304, Some(tag)), "{accept}");
        assert_eq!(named(&known, VARY).as_deref(), Some("Accept-Encoding"), "{accept}");

        // A range is one of the bytes as they are; who refuses those gets all, packed.
        for (range, from, to) in
            [("bytes=5-10", 5, 11), ("bytes=300000-", 300_000, text.len()), ("bytes=-7", text.len() - 7, text.len())]
        {
            let headers = [(ACCEPT_ENCODING.as_str(), accept), (RANGE.as_str(), range)];
            let part = scene.get("", &headers).await;
            let encoding_of_part = named(&part, CONTENT_ENCODING);
            if accept.starts_with("identity;q=0") {
                assert_eq!((part.status().as_u16(), encoding_of_part.as_deref()), (200, encoding), "{accept} {range}");
                continue;
            }
            assert_eq!((part.status().as_u16(), encoding_of_part), (206, None), "{accept} {range}");
            let place = format!("bytes {from}-{}/{}", to - 1, text.len());
            assert_eq!(named(&part, CONTENT_RANGE), Some(place), "{accept} {range}");
            assert_eq!(named(&part, VARY).as_deref(), Some("Accept-Encoding"), "{accept} {range}");
            assert!(part.bytes().await.expect("bytes") == text.as_bytes()[from..to], "{accept} {range}");
        }
    }
    let refused = scene.get("", &[(ACCEPT_ENCODING.as_str(), "identity;q=0, br")]).await;
    assert_eq!(refused.status(), 406);
    assert!(refused.text().await.expect("text").contains("accept-encoding"));
    scene.test.close().await;
}

#[tokio::test]
async fn conditions_and_odd_ranges() {
    let mut scene = Scene::new().await;
    scene.print(0, &["0123456789"], false).await;
    let open = scene.get("", &[]).await;
    assert_eq!(named(&open, ETAG), None, "it still grows");
    let open = scene.get("", &[(RANGE.as_str(), "bytes=0-1"), (IF_RANGE.as_str(), "\"x\"")]).await;
    assert_eq!(open.status(), 200, "nothing to compare with");
    scene.print(1, &[], true).await;
    let tag = named(&scene.get("", &[]).await, ETAG).expect("a tag");
    let packed_tag = named(&scene.get("", &[(ACCEPT_ENCODING.as_str(), "gzip")]).await, ETAG).expect("a tag");
    assert_ne!(tag, packed_tag, "other bytes");
    let weak = format!("W/{tag}");
    for (if_range, status) in
        [(&*tag, 206), (&weak, 200), (&packed_tag, 200), ("\"other\"", 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)]
    {
        let part = scene.get("", &[(RANGE.as_str(), "bytes=2-3"), (IF_RANGE.as_str(), if_range)]).await;
        assert_eq!(part.status(), status, "{if_range}");
    }
    for (none_match, status) in [(&*tag, 304), (&weak, 304), ("*", 304), ("\"other\"", 200), (&packed_tag, 200)] {
        assert_eq!(scene.get("", &[(IF_NONE_MATCH.as_str(), none_match)]).await.status(), status, "{none_match}");
    }
    let huge = format!("bytes=0-{}", u64::MAX);
    let beyond = format!("bytes={}-", u64::MAX);
    let many = format!("bytes={}", vec!["0-1"; 5_000].join(","));
    for (range, status) in [
        (&*huge, 206),
        ("bytes=0-0", 206),
        (&beyond, 416),
        ("bytes=11-", 416),
        ("bytes=-0", 416),
        ("bytes=99999999999999999999-", 416),
        ("bytes=2-99999999999999999999", 206),
        ("bytes=-99999999999999999999", 206),
        ("Bytes=0-0", 206),
        ("bytes=+1-+2", 200),
        ("bytes=5-2", 200),
        ("bytes=", 200),
        ("bytes=--1", 200),
        ("lines=0-1", 200),
        (&many, 200),
    ] {
        for accept in ["identity", "gzip"] {
            let part = scene.get("", &[(RANGE.as_str(), range), (ACCEPT_ENCODING.as_str(), accept)]).await;
            assert_eq!(part.status(), status, "{range:.40} {accept}");
            let packed = named(&part, CONTENT_ENCODING).is_some();
            assert_eq!(packed, accept == "gzip" && status == 200, "{range:.40} {accept}");
        }
    }
    // An empty log has no shorter form, and all of its last bytes.
    let empty = Scene::new().await;
    for (range, status) in [("bytes=-5", 200), ("bytes=0-", 416), ("bytes=-0", 416)] {
        let answer = empty.get("", &[(RANGE.as_str(), range)]).await;
        assert_eq!(answer.status(), status, "{range} of nothing");
    }
    let packed = empty.get("", &[(ACCEPT_ENCODING.as_str(), "identity;q=0, gzip")]).await;
    assert_eq!(named(&packed, CONTENT_ENCODING).as_deref(), Some("gzip"), "who refuses bytes as they are gets none");
    assert_eq!(unpacked(Some("gzip"), &packed.bytes().await.expect("bytes")), b"");
    let answer = empty.get("", &[(ACCEPT_ENCODING.as_str(), "zstd")]).await;
    assert_eq!((answer.status().as_u16(), named(&answer, CONTENT_LENGTH).as_deref()), (200, Some("0")));
    empty.test.close().await;
    scene.test.close().await;
}

/// RFC 9110, 13.2.2: a range is looked at when all other conditions hold.
#[tokio::test]
async fn conditions_come_before_ranges() {
    let mut scene = Scene::new().await;
    scene.print(0, &["0123456789"], false).await;
    let status = async |method: &reqwest::Method, headers: &[(&str, &str)]| {
        let answer = scene.ask(method.clone(), "", headers).await;
        (answer.status().as_u16(), named(&answer, CONTENT_RANGE))
    };
    // What still grows has no tag, but is there.
    let get = reqwest::Method::GET;
    assert_eq!(status(&get, &[("if-match", "*")]).await.0, 200);
    assert_eq!(status(&get, &[("if-match", "\"x\"")]).await.0, 412);
    assert_eq!(status(&get, &[("if-none-match", "\"x\"")]).await.0, 200);
    scene.print(1, &[], true).await;
    let tag = named(&scene.get("", &[]).await, ETAG).expect("a tag");
    let (known, wanted, beyond) = (("if-none-match", &*tag), ("if-match", &*tag), ("range", "bytes=99-"));
    let (other, part) = ("\"other\"", ("range", "bytes=2-3"));
    let unsatisfied = || Some("bytes */11".to_owned());
    let ask = async |headers: &[(&str, &str)]| {
        let answer = scene.get("", headers).await;
        (answer.status().as_u16(), named(&answer, CONTENT_RANGE))
    };
    for (headers, expected) in [
        (&[beyond][..], (416, unsatisfied())),
        (&[known, beyond], (304, None)),
        (&[known, part], (304, None)),
        (&[("if-none-match", "*"), beyond], (304, None)),
        (&[("if-none-match", other), beyond], (416, unsatisfied())),
        (&[("if-match", other), beyond], (412, None)),
        (&[("if-match", other), part], (412, None)),
        (&[("if-match", other), known], (412, None)),
        (&[wanted, known, beyond], (304, None)),
        (&[wanted, part], (206, Some("bytes 2-3/11".into()))),
        (&[wanted, beyond], (416, unsatisfied())),
        (&[("if-match", &format!("W/{tag}")), part], (412, None)),
        (&[("if-range", other), beyond], (200, None)),
        (&[("if-range", &tag), beyond], (416, unsatisfied())),
        (&[("if-match", other), ("if-range", other), part], (412, None)),
    ] {
        assert_eq!(ask(headers).await, expected, "{headers:?}");
    }
    // HEAD tells of the whole, under the same conditions.
    for (headers, expected) in
        [(&[part][..], 200), (&[beyond], 200), (&[known, beyond], 304), (&[("if-match", other), beyond], 412)]
    {
        let head = scene.ask(reqwest::Method::HEAD, "", headers).await;
        assert_eq!((head.status().as_u16(), named(&head, CONTENT_RANGE)), (expected, None), "{headers:?}");
        if expected == 200 {
            assert_eq!(named(&head, CONTENT_LENGTH).as_deref(), Some("11"), "{headers:?}");
        }
    }
    scene.test.close().await;
}

#[tokio::test]
async fn head_has_the_headers_of_get() {
    let mut scene = Scene::new().await;
    scene.print(0, &["a line", "another"], true).await;
    let once = |answer: &reqwest::Response| {
        let headers =
            answer.headers().iter().filter(|(name, _)| !["date", "transfer-encoding"].contains(&name.as_str()));
        let mut headers: Vec<_> = headers.map(|(name, value)| (name.to_string(), value.clone())).collect();
        headers.sort_by(|a, b| a.0.cmp(&b.0));
        (answer.status(), headers)
    };
    for query in ["", "?tail=1", "?download=1", "?follow=1", "?tail=x"] {
        for accept in ["", "gzip", "zstd", "identity;q=0", "identity;q=0, zstd"] {
            let accept = [(ACCEPT_ENCODING.as_str(), accept)];
            let get = scene.get(query, &accept).await;
            let head = scene.ask(reqwest::Method::HEAD, query, &accept).await;
            assert_eq!(once(&head), once(&get), "{query} {accept:?}");
        }
    }
    scene.test.close().await;
}

#[tokio::test]
async fn what_can_not_be_meant_is_refused_by_name() {
    let scene = Scene::new().await;
    let refused = async |url: String| {
        let answer = within("a refusal", reqwest::get(url)).await.expect("an answer");
        assert_eq!(answer.status(), 400);
        let body: serde_json::Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
        assert_eq!(body["code"], "invalid_argument");
        assert_eq!(body["details"][0]["type"], "google.rpc.BadRequest");
        body["message"].as_str().expect("words").to_owned()
    };
    for (query, words) in [
        ("?tail=x", "tail: \"x\" is no number of lines, 0 to 18446744073709551615"),
        ("?tail=-1", "tail: \"-1\" is no number of lines, 0 to 18446744073709551615"),
        ("?tail=1&tail=2", "tail: is there 2 times; once is allowed"),
        ("?follow=maybe", "follow: \"maybe\" is none of 1, true, 0, false"),
        ("?download=x", "download: \"x\" is none of 1, true, 0, false"),
    ] {
        assert_eq!(refused(scene.url(query)).await, words);
    }
    let by_id = async |id: &str| refused(format!("{}/logs/{id}/raw", scene.test.url)).await;
    assert_eq!(by_id("%ff").await, "log_id: is not UTF-8 once its percent signs are decoded");
    assert_eq!(by_id("a%2fb").await, "log_id: has '/' in it; allowed are A-Z a-z 0-9 . _ -");
    // The REST routes, too.
    let rest = async |body: serde_json::Value| {
        let url = format!("{}/api/v1/pipeline/logs", scene.test.url);
        let sent = reqwest::Client::new().post(url).body(body.to_string()).send();
        let answer = within("a refusal", sent).await.expect("an answer");
        assert_eq!(answer.status(), 400, "{body}");
        let told: serde_json::Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
        told["message"].as_str().expect("words").to_owned()
    };
    let run = &scene.run.id;
    assert_eq!(
        rest(json!({ "tx_uuid": run, "step_idx": 1 })).await,
        "step_idx: 1 is not below 1, a row's number of jobs"
    );
    assert_eq!(
        rest(json!({ "tx_uuid": run, "action_idx": 1 })).await,
        "action_idx: 1 is not below 1, the job's number of actions"
    );
    for (field, value, most) in [
        ("step_idx", json!(-1), "4294967295"),
        ("stepRowIdx", json!(4_294_967_296_u64), "4294967295"),
        ("stage_idx", json!("x"), "4294967295"),
        ("action_idx", json!(1.5), "4294967295"),
        ("index", json!(-1), "18446744073709551615"),
    ] {
        let told = rest(json!({ "tx_uuid": run, field: value })).await;
        let wanted = format!("{field}: {value} is no whole number from 0 to {most}");
        assert!(told.starts_with(&wanted), "{told}");
    }
    scene.test.close().await;
}

#[tokio::test]
async fn the_rest_routes_pack_too() {
    let mut scene = Scene::new().await;
    let lines = lines();
    scene.print(0, &lines.iter().map(String::as_str).collect::<Vec<_>>(), true).await;
    let text = lines.join("\n") + "\n";
    let address = json!({ "tx_uuid": scene.run.id }).to_string();
    let post = async |route: &str, accept: &str, range: Option<&str>| {
        let url = format!("{}/api/v1/pipeline/{route}", scene.test.url);
        let mut request = reqwest::Client::new().post(url).header("content-type", "application/json");
        request = request.header(ACCEPT_ENCODING, accept).body(address.clone());
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        within(route, request.send()).await.expect("an answer")
    };
    for (accept, encoding) in [("identity", None), ("gzip", Some("gzip")), ("zstd", Some("zstd"))] {
        let answer = post("download", accept, None).await;
        assert_eq!(named(&answer, CONTENT_ENCODING).as_deref(), encoding);
        assert!(unpacked(encoding, &answer.bytes().await.expect("bytes")) == text.as_bytes(), "{accept}");
        let part = post("download", accept, Some("bytes=5-8")).await;
        assert_eq!((part.status().as_u16(), named(&part, CONTENT_ENCODING)), (206, None));
        assert_eq!(part.text().await.expect("text"), text[5..=8]);
        let answer = post("logs", accept, None).await;
        assert_eq!(named(&answer, CONTENT_ENCODING).as_deref(), encoding);
        assert_eq!(named(&answer, VARY).as_deref(), Some("Accept-Encoding"));
        let rows = unpacked(encoding, &answer.bytes().await.expect("bytes"));
        let rows: serde_json::Value = serde_json::from_slice(&rows).expect("JSON");
        assert_eq!((rows["rows"].as_array().expect("rows").len(), &rows["rows"][7]), (10_000, &json!(lines[7])));
    }
    scene.test.close().await;
}

/// A program that reads the URL as the first and unpacks as the second.
fn pipeline(url: &str, accept: &str, unpack: &str) -> tokio::process::Child {
    let script = format!("curl -sSfN -H 'Accept-Encoding: {accept}' \"$0\" | {unpack}");
    let mut command = Command::new("sh");
    command.args(["-c", &script, url]).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn().expect("sh starts")
}

#[tokio::test]
async fn a_live_log_is_read_line_by_line_through_curl_and_what_unpacks() {
    let mut scene = Scene::new().await;
    scene.print(0, &["one"], false).await;
    let url = scene.url("?follow=1");
    let mut programs = Vec::new();
    // `zstd` itself waits for whole blocks, so curl unpacks that by itself.
    let compressed = "curl -sSfN --compressed \"$0\"";
    let mut by_itself = Command::new("sh");
    by_itself.args(["-c", compressed, &url]).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    programs.push(("curl --compressed", by_itself.spawn().expect("sh starts")));
    programs.push(("curl", pipeline(&url, "identity", "cat")));
    let python = "python3 -uc 'import sys,zlib\nd=zlib.decompressobj(31)\nwhile b:=sys.stdin.buffer.raw.read(65536): sys.stdout.buffer.write(d.decompress(b)); sys.stdout.buffer.flush()'";
    if Command::new("python3")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .await
        .is_ok_and(|status| status.success())
    {
        programs.push(("gzip by python", pipeline(&url, "gzip", python)));
    }
    let mut readers: Vec<_> = programs
        .iter_mut()
        .map(|(name, program)| (*name, BufReader::new(program.stdout.take().expect("a pipe")).lines()))
        .collect();
    // Each line is seen before the next is written.
    for (index, line) in ["one", "two", "three"].into_iter().enumerate() {
        if index > 0 {
            scene.print(index as i64, &[line], false).await;
        }
        for (name, reader) in &mut readers {
            let seen = within(name, reader.next_line()).await.expect("text");
            assert_eq!(seen.as_deref(), Some(line), "{name}");
        }
    }
    scene.print(3, &[], true).await;
    for (name, reader) in &mut readers {
        assert_eq!(within(name, reader.next_line()).await.expect("the end"), None, "{name}");
    }
    drop(readers);
    for (name, mut program) in programs {
        assert!(within(name, program.wait()).await.expect("ends").success(), "{name}");
    }
    // Whole, through the tools of the formats.
    for (accept, unpack) in [("gzip", "gzip -dc"), ("zstd", "zstd -dcq")] {
        for query in ["", "?follow=1"] {
            let output = within(unpack, pipeline(&scene.url(query), accept, unpack).wait_with_output()).await;
            assert_eq!(String::from_utf8_lossy(&output.expect("ends").stdout), "one\ntwo\nthree\n", "{unpack} {query}");
        }
    }
    scene.test.close().await;
}
