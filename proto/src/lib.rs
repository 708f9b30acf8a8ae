//! The wire of Millrace: generated messages and service traits, and the names that server and runner must parse
//! alike. Knows nothing of HTTP routes, stores or processes.

mod any_types;
pub mod digest;
pub mod expression;
pub mod instance_name;
pub mod mask_forms;
pub mod mask_set;
pub mod message_text;
pub mod platform_properties;
pub mod resource_name;
pub mod task_content;

/// The descriptor set of every served .proto file and its imports; server reflection answers from it.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/millrace.fds.bin"));

#[allow(missing_docs, clippy::all, clippy::pedantic, unused_qualifications, rustdoc::all, non_camel_case_types)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/_millrace.rs"));
}

pub use any_types::register_any_types;
pub use generated::build::bazel::remote::asset::v1 as asset;
pub use generated::build::bazel::remote::execution::v2 as reapi;
pub use generated::build::bazel::remote::logstream::v1 as logstream;
pub use generated::build::bazel::semver;
pub use generated::build_event_stream;
pub use generated::google::devtools::build::v1 as build_events;
pub use generated::google::{bytestream, longrunning, rpc};
pub use generated::log::v1 as log_v1;
pub use generated::millrace;
pub use generated::pkg::proto::runner::v1 as runner_v1;
