//! Says where the built web app is, and which commit this is. Without a built web app (only Rust was built) the binary
//! carries a page that says how to get it. Also compiles the health protocol's descriptors, for server reflection.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const PLACEHOLDER: &str = "<!doctype html><html lang=\"en\"><title>Millrace</title><h1>Millrace</h1>\
<p>This binary was built without the web app. Run <code>make build</code>; the API, the logs and the command line work.</p></html>";

/// The health service's code comes from a crate, without the descriptors that discovery asks for.
const HEALTH_PROTO: &str = "grpc/health/v1/health.proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    println!("cargo:rerun-if-changed=third_party/{HEALTH_PROTO}");
    let mut health = protox::Compiler::new([root.join("third_party")])?;
    health.include_imports(true).open_file(HEALTH_PROTO)?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("health.fds.bin"), health.encode_file_descriptor_set())?;
    let dist = root.join("../web/dist");
    println!("cargo:rerun-if-changed={}", dist.display());
    println!("cargo:rerun-if-changed=build.rs");
    let folder = if dist.join("index.html").is_file() { dist } else { placeholder() };
    println!("cargo:rustc-env=MILLRACE_WEB_DIST={}", folder.display());
    println!("cargo:rerun-if-changed={}", root.join("../.git/HEAD").display());
    if let Some(commit) = commit(&root) {
        println!("cargo:rustc-env=MILLRACE_COMMIT={commit}");
    }
    Ok(())
}

fn placeholder() -> PathBuf {
    let folder = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("web");
    fs::create_dir_all(&folder).expect("the output folder can be written");
    fs::write(folder.join("index.html"), PLACEHOLDER).expect("the output folder can be written");
    folder
}

fn commit(root: &Path) -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).current_dir(root).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
