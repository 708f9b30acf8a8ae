//! The remote cache when its server is killed or its disk is full, over plain HTTP: what was acknowledged is there and
//! right, nothing else is, and everything goes on.

use millrace_bench::program::ServerProgram;
use reqwest::{Client, StatusCode};
use sha2::{Digest, Sha256};

use super::disk_full::{DISK_MAX_BYTES, Filler, inside, serve_on_small_disk};
use super::scene::{Scene, eventually};
use crate::cas_client::{hex, noise};

/// At which sync or rename of a thread the server is killed.
const KILLED_AT: [u32; 6] = [1, 2, 3, 5, 8, 14];
/// More uploads than any of these survives.
const UPLOADS_MAX: u64 = 400;
/// A blob that shares a pack, and one with a file of its own.
const SIZES: [usize; 2] = [3_000, 700_000];

/// A client of the cache, and what was acknowledged to it.
struct Uploader<'a> {
    scene: &'a Scene,
    client: Client,
    acknowledged: Vec<u64>,
}

impl<'a> Uploader<'a> {
    fn new(scene: &'a Scene) -> Self {
        Self { scene, client: Client::new(), acknowledged: Vec::new() }
    }

    fn url(&self, number: u64) -> String {
        format!("http://{}/cas/{}", self.scene.address(), hex(&Sha256::digest(content(number))))
    }

    /// Uploads a blob; its status, or None when the connection broke.
    async fn put(&mut self, number: u64) -> Option<(StatusCode, String)> {
        let request = self.client.put(self.url(number)).bearer_auth(self.scene.token()).body(content(number));
        let answer = request.send().await.ok()?;
        let status = answer.status();
        if status.is_success() {
            self.acknowledged.push(number);
        }
        Some((status, answer.text().await.ok()?))
    }

    /// A blob, if it is there.
    async fn get(&self, number: u64) -> Option<Vec<u8>> {
        let request = self.client.get(self.url(number)).bearer_auth(self.scene.token());
        let answer = request.send().await.expect("an answer");
        match answer.status() {
            StatusCode::OK => Some(answer.bytes().await.expect("a whole body").to_vec()),
            StatusCode::NOT_FOUND => None,
            other => panic!("blob {number}: {other}"),
        }
    }

    /// Everything acknowledged is there; what else is there is right.
    async fn check(&self, tried: u64, what: &str) {
        for number in 0..tried {
            let found = self.get(number).await;
            assert!(found.is_some() || !self.acknowledged.contains(&number), "{what}: blob {number} is lost");
            assert!(found.is_none_or(|found| found == content(number)), "{what}: blob {number} has other bytes");
        }
    }
}

fn content(number: u64) -> Vec<u8> {
    noise(SIZES[(number % 2) as usize], number)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_a_sync_or_rename_the_cache_keeps_what_it_acknowledged() {
    for (calls, when) in KILLED_AT.iter().flat_map(|when| [("fsync,fdatasync", when), ("rename,renameat2", when)]) {
        let scene = Scene::new().await;
        let (trace, inject) = (scene.folder().join("trace"), format!("inject={calls}:signal=KILL:when={when}"));
        let (filter, what) = (format!("trace={calls}"), format!("killed at {calls} {when}"));
        let strace = ["strace", "-f", "-qq", "-e", &filter, "-e", &inject, "-o", trace.to_str().expect("UTF-8")];
        let mut uploader = Uploader::new(&scene);
        let mut tried = 0;
        // It may be killed before it listens: that is a case, too.
        if let Ok(mut server) = ServerProgram::start(scene.serve_command(&strace)).await {
            while uploader.put(tried).await.is_some() {
                tried += 1;
                assert!(tried < UPLOADS_MAX, "{what}: it was not killed in {UPLOADS_MAX} uploads");
            }
            tried += 1;
            let status = crate::app::within("its end", server.ended()).await.expect("ends");
            assert!(!status.success(), "{what}: {status}");
        }
        let server = scene.serve().await;
        uploader.check(tried, &what).await;
        // What broke off can be sent again.
        assert!(uploader.put(tried).await.is_some_and(|(status, _)| status.is_success()), "{what}");
        scene.finish(server, Vec::new()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_blobs_serves_those_it_has_and_goes_on_when_there_is_space() {
    let scene = Scene::new().await;
    let server = serve_on_small_disk(&scene).await;
    let mut uploader = Uploader::new(&scene);
    for number in 0..10 {
        let (status, _) = uploader.put(number).await.expect("an answer");
        assert_eq!(status, StatusCode::CREATED);
    }
    let filler = Filler::fill(&inside(&server, &scene.data().join("filler")));
    let mut tried = 10;
    let (refused, message) = loop {
        let (status, message) = uploader.put(tried).await.expect("an answer");
        tried += 1;
        if !status.is_success() {
            break (status, message);
        }
        assert!(tried * 1_000_000 < 2 * DISK_MAX_BYTES * 2, "the disk never was full");
    };
    assert_eq!(refused, StatusCode::INSUFFICIENT_STORAGE, "{message}");
    assert!(message.contains("space"), "{message}");
    assert!(uploader.get(tried - 1).await.is_none(), "a part of a refused blob is seen");
    uploader.check(tried, "on a full disk").await;

    drop(filler);
    let again = tried - 1;
    let client = Uploader::new(&scene);
    eventually("blobs are taken again", async || {
        let request = client.client.put(client.url(again)).bearer_auth(scene.token()).body(content(again));
        request.send().await.ok().filter(|answer| answer.status().is_success())
    })
    .await;
    assert!(uploader.get(again).await.is_some_and(|found| found == content(again)));
    uploader.check(tried, "with space again").await;
    scene.finish(server, Vec::new()).await;
}
