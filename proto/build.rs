//! Compiles the .proto tree with protox (pure Rust, nothing needed on PATH) and generates messages, service traits
//! and the descriptor set that server reflection answers from.

use std::{env, fs, path::PathBuf, time::SystemTime};

/// Every file with a service or message that Millrace serves, relative to this folder.
const FILES: &[&str] = &[
    "pkg/proto/runner/v1/runner.proto",
    "millrace/v1/pipeline.proto",
    "millrace/v1/cache.proto",
    "millrace/v1/queue.proto",
    "millrace/v1/invocation.proto",
    "millrace/v1/log.proto",
    "millrace/v1/runner.proto",
    "build/bazel/remote/execution/v2/remote_execution.proto",
    "build/bazel/remote/asset/v1/remote_asset.proto",
    "build/bazel/remote/logstream/v1/remote_logstream.proto",
    "build/bazel/semver/semver.proto",
    "build_event_stream/build_event_stream.proto",
    "google/bytestream/bytestream.proto",
    "log/v1/log.proto",
    "google/devtools/build/v1/build_events.proto",
    "google/devtools/build/v1/build_status.proto",
    "google/devtools/build/v1/publish_build_event.proto",
    "google/longrunning/operations.proto",
    "google/rpc/code.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let set = out.join("millrace.fds.bin");
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true);
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
        compiler.open_file(file)?;
    }
    fs::write(&set, compiler.encode_file_descriptor_set())?;
    // What generates the code has Cargo watch the set: written after this run began, it would have it run each time.
    fs::File::options().write(true).open(&set)?.set_modified(SystemTime::UNIX_EPOCH)?;
    // Log chunks and blobs go out as they were read: `Bytes` are not copied into the message. What came in borrows from
    // its request: copy a small piece that is to be kept.
    let mut buffa = connectrpc_build::CodeGenConfig::default();
    buffa.generate_json = true;
    buffa.bytes_fields = [".millrace.v1", ".build.bazel", ".google.bytestream", ".log.v1"]
        .map(|package| (package.into(), buffa_codegen::BytesRepr::Bytes))
        .into();
    connectrpc_build::Config::new()
        .buffa_config(buffa)
        .descriptor_set(&set)
        .files(FILES)
        .include_file("_millrace.rs")
        .gate_client_feature(true)
        .compile()?;
    disambiguate_register(&out.join("pkg.proto.runner.v1.runner.__connect.rs"))?;
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}

/// The protocol names a method `Register`, and the generated extension trait has a `register` of its own that wins
/// method resolution on an `Arc`. The generated calls are therefore written out with the trait they mean.
fn disambiguate_register(file: &PathBuf) -> Result<(), Box<dyn std::error::Error>> {
    let text = fs::read_to_string(file)?;
    let from = "svc.register(ctx,";
    if !text.contains(from) {
        return Err("the generated code no longer calls `svc.register`; drop this step".into());
    }
    fs::write(file, text.replace(from, "RunnerService::register(&*svc, ctx,"))?;
    Ok(())
}
