//! The .proto files of other people's protocols, held against code that others generated from the originals: a wrong
//! number, name, type, label, method or stream can't pass. Both sides are turned into lines of text and compared.

mod ours;
mod theirs;

use std::collections::BTreeSet;

/// One fact a line, such as `google.rpc.status.code = 1 int32`.
type Facts = BTreeSet<String>;

/// What the crate `bazel-remote-apis` has of what is served here.
const PACKAGES: [&str; 7] = [
    "build.bazel.remote.execution.v2",
    "build.bazel.remote.asset.v1",
    "build.bazel.remote.logstream.v1",
    "build.bazel.semver",
    "google.bytestream",
    "google.longrunning",
    "google.rpc",
];

#[test]
fn the_wire_is_that_of_the_originals() {
    let sources = theirs::sources();
    for package in PACKAGES {
        let theirs = theirs::facts(&sources, package);
        let mut ours = ours::facts(millrace_proto::FILE_DESCRIPTOR_SET, package);
        if package == "google.rpc" {
            // That crate has the status only; the rest is compared below.
            ours.retain(|fact| fact.contains("google.rpc.status"));
        }
        compare(package, &ours, &theirs);
    }
}

#[test]
fn the_error_details_are_those_of_the_original() {
    let theirs = ours::facts(tonic_types::pb::FILE_DESCRIPTOR_SET, "google.rpc");
    let mut ours = ours::facts(millrace_proto::FILE_DESCRIPTOR_SET, "google.rpc");
    ours.retain(|fact| !fact.starts_with("google.rpc.code."));
    compare("google.rpc", &ours, &theirs);
}

#[test]
fn the_codes_are_those_of_grpc() {
    let theirs = (0..=16).map(|number| {
        let name = snake(&format!("{:?}", tonic::Code::from_i32(number))).to_uppercase();
        format!("google.rpc.code.{name} = {number}")
    });
    let mut ours = ours::facts(millrace_proto::FILE_DESCRIPTOR_SET, "google.rpc");
    ours.retain(|fact| fact.starts_with("google.rpc.code."));
    compare("google.rpc.Code", &ours, &theirs.collect());
}

#[test]
fn json_names_follow_the_rule() {
    for (field, json) in ours::json_names(millrace_proto::FILE_DESCRIPTOR_SET) {
        assert_eq!(json, lower_camel(field.rsplit('.').next().unwrap()), "{field}");
    }
}

/// Connect serves these by GET, so that the list is as much a promise as the numbers are.
#[test]
fn reads_are_marked() {
    let marked: Facts = PACKAGES
        .iter()
        .flat_map(|package| ours::methods_without_side_effects(millrace_proto::FILE_DESCRIPTOR_SET, package))
        .collect();
    let expected = [
        "build.bazel.remote.execution.v2.ActionCache/GetActionResult",
        "build.bazel.remote.execution.v2.Capabilities/GetCapabilities",
        "build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs",
        "build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs",
        "google.bytestream.ByteStream/QueryWriteStatus",
        "google.longrunning.Operations/GetOperation",
        "google.longrunning.Operations/ListOperations",
    ];
    assert_eq!(marked, expected.map(String::from).into());
}

fn compare(package: &str, ours: &Facts, theirs: &Facts) {
    assert!(theirs.len() > 3, "{package}: only {} facts were found in the original", theirs.len());
    let lost: Vec<_> = theirs.difference(ours).collect();
    let more: Vec<_> = ours.difference(theirs).collect();
    assert!(lost.is_empty() && more.is_empty(), "{package}\nonly in theirs: {lost:#?}\nonly in ours: {more:#?}");
    println!("{package}: {} facts agree", ours.len());
}

/// The spelling in which generated code and descriptors can be compared.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 && !name[..index].ends_with(['_', '.']) {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// As protobuf makes JSON names.
fn lower_camel(name: &str) -> String {
    let mut camel = String::new();
    let mut upper = false;
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            _ => camel.push(if std::mem::take(&mut upper) { letter.to_ascii_uppercase() } else { letter }),
        }
    }
    camel
}
