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
    "log/v1/log.proto",
    "google/devtools/build/v1/publish_build_event.proto",
];

/// A client of the commit log that knows only what its protocol had from the beginning.
const PROGLOG_ROOT: &str = "proto";
const PROGLOG_FILE: &str = "proglog.proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={PROTO_ROOT}/{file}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    let set = protox::compile(FILES, [PROTO_ROOT])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    generate(set, out.clone())?;
    // The same package as the server's own, as strangers have it.
    println!("cargo:rerun-if-changed={PROGLOG_ROOT}/{PROGLOG_FILE}");
    let out = out.join("proglog");
    std::fs::create_dir_all(&out)?;
    generate(protox::compile([PROGLOG_FILE], [PROGLOG_ROOT])?, out)
}

fn generate(set: prost_types::FileDescriptorSet, out: PathBuf) -> Result<(), Box<dyn std::error::Error>> {
    tonic_prost_build::configure().build_server(false).include_file("_wire.rs").out_dir(out).compile_fds(set)?;
    Ok(())
}
