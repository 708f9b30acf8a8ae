//! connect-es in Node: the code that its own generator makes of our .proto files, over gRPC, gRPC-Web and Connect.

use std::path::{Path, PathBuf};

use super::tool::{command, fixture, on_path, succeeded};
use crate::app::TestApp;

/// Transports in `connect_es/peer.mjs`.
const TRANSPORTS: usize = 10;

/// What `buf generate` is to do: JavaScript, since this Node takes no TypeScript.
fn template(out: &Path) -> String {
    let plugin = web().join("node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es");
    serde_json::json!({
        "version": "v2",
        "inputs": [{ "directory": "proto" }],
        "plugins": [{ "local": ["node", plugin], "out": out, "opt": ["target=js", "import_extension=js"] }],
    })
    .to_string()
}

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").join("web")
}

#[tokio::test]
async fn connect_es_talks_over_every_transport() {
    let test = TestApp::open().await;
    let modules = web().join("node_modules");
    assert!(modules.is_dir(), "{} was not found; scripts/web-modules.sh makes it", modules.display());
    let folder = test.scratch().join("connect_es");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::copy(fixture("connect_es/peer.mjs"), folder.join("peer.mjs")).expect("copied");
    std::os::unix::fs::symlink(&modules, folder.join("node_modules")).expect("a link");
    let mut buf = command(&modules.join(".bin/buf"));
    buf.args(["generate", "--template", &template(&folder.join("gen"))]).current_dir(web().join(".."));
    succeeded(&mut buf).await;
    let mut peer = command(&on_path("node"));
    peer.arg("peer.mjs").args([&test.url, "team/app"]).current_dir(&folder);
    let said = succeeded(&mut peer).await;
    assert_eq!(said.out.matches("good: ").count(), TRANSPORTS, "{}", said.all());
    test.close().await;
}
