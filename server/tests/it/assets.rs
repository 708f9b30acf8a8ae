//! Remote Asset: what is pushed, what is fetched from a server of this test's own, and what is refused.

mod archives;
mod fetch;
mod git;
mod push;
mod upstream;

use bazel_remote_apis::build::bazel::remote::asset::v1 as asset;
use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use millrace_server::config::{RawAssetConfig, RawCacheConfig};

use crate::app::{Options, TestApp, Wire, within};
use asset::fetch_client::FetchClient;
use asset::push_client::PushClient;

/// A server that may fetch from loopback.
pub async fn server() -> TestApp {
    server_with(RawAssetConfig { asset_allow: Some("127.0.0.1".into()), ..RawAssetConfig::default() }).await
}

/// A server with these settings.
pub async fn server_with(assets: RawAssetConfig) -> TestApp {
    TestApp::start(Options { cache: RawCacheConfig { assets, ..Default::default() }, ..Options::default() }).await
}

/// Qualifiers from pairs.
pub fn qualifiers(pairs: &[(&str, &str)]) -> Vec<asset::Qualifier> {
    pairs.iter().map(|(name, value)| asset::Qualifier { name: (*name).into(), value: (*value).into() }).collect()
}

/// A request for a blob.
pub fn blob(uris: &[&str], pairs: &[(&str, &str)]) -> asset::FetchBlobRequest {
    asset::FetchBlobRequest {
        uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
        qualifiers: qualifiers(pairs),
        ..Default::default()
    }
}

/// The answer to a request for a blob.
pub async fn fetch(wire: Wire, request: asset::FetchBlobRequest) -> Result<asset::FetchBlobResponse, tonic::Status> {
    within("FetchBlob", FetchClient::new(wire).fetch_blob(request)).await.map(tonic::Response::into_inner)
}

/// The answer to a request for a directory.
pub async fn fetch_directory(
    test: &TestApp,
    uri: &str,
    pairs: &[(&str, &str)],
) -> Result<asset::FetchDirectoryResponse, tonic::Status> {
    let request = asset::FetchDirectoryRequest {
        uris: vec![uri.to_owned()],
        qualifiers: qualifiers(pairs),
        ..Default::default()
    };
    let answer = within("FetchDirectory", FetchClient::new(test.wire()).fetch_directory(request)).await;
    answer.map(tonic::Response::into_inner)
}

/// The code in an answer's status.
pub fn code(status: Option<&bazel_remote_apis::google::rpc::Status>) -> tonic::Code {
    tonic::Code::from_i32(status.map_or(0, |status| status.code))
}

/// A push.
pub async fn push(wire: Wire, request: asset::PushBlobRequest) -> Result<(), tonic::Status> {
    within("PushBlob", PushClient::new(wire).push_blob(request)).await.map(|_| ())
}

/// `checksum.sri` of some content.
pub fn checksum(content: &[u8]) -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(content)))
}

/// All paths of a tree: files with `*` when executable, links with where they lead, empty folders.
pub async fn listing(test: &TestApp, root: &re::Digest) -> Vec<String> {
    use prost::Message;
    let remote = crate::cas_client::Remote::of(test);
    let mut found = Vec::new();
    let mut waiting = vec![(String::new(), root.clone())];
    while let Some((path, digest)) = waiting.pop() {
        let bytes = if digest.size_bytes == 0 {
            Vec::new()
        } else {
            remote.read(&remote.read_name(&digest)).await.expect("a directory")
        };
        let directory = re::Directory::decode(bytes.as_slice()).expect("a Directory");
        let empty = directory.files.is_empty() && directory.directories.is_empty() && directory.symlinks.is_empty();
        if empty {
            found.push(format!("{path}(empty)"));
        }
        for file in directory.files {
            let content = file.digest.expect("a digest");
            assert!(remote.has(&content).await);
            let mark = if file.is_executable { "*" } else { "" };
            found.push(format!("{path}{}{mark}", file.name));
        }
        found.extend(directory.symlinks.iter().map(|link| format!("{path}{} -> {}", link.name, link.target)));
        for node in directory.directories {
            waiting.push((format!("{path}{}/", node.name), node.digest.expect("a digest")));
        }
    }
    found.sort();
    found
}
