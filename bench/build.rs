//! Compiles the .proto tree with protox and generates clients with prost and tonic: an implementation of the wire that
//! shares nothing with the server's own.

use std::env;
use std::path::PathBuf;

const PROTO_ROOT: &str = "../proto";
/// Every file with a service, relative to the root.
const FILES: &[&str] = &[
    "pkg/proto/runner/v1/runner.proto",
    "millrace/v1/pipeline.proto",
    "millrace/v1/log.proto",
    "millrace/v1/runner.proto",
    "millrace/v1/queue.proto",
    "millrace/v1/invocation.proto",
    "google/devtools/build/v1/publish_build_event.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={PROTO_ROOT}/{file}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    let set = protox::compile(FILES, [PROTO_ROOT])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    tonic_prost_build::configure().build_server(false).include_file("_wire.rs").out_dir(out).compile_fds(set)?;
    Ok(())
}
