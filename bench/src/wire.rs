//! The wire as prost and tonic generate it from the .proto tree.

#[allow(missing_docs, clippy::all, clippy::pedantic, unused_qualifications, rustdoc::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/_wire.rs"));
}

/// The commit log's client of strangers.
#[allow(missing_docs, clippy::all, clippy::pedantic, unused_qualifications, rustdoc::all)]
mod stranger {
    include!(concat!(env!("OUT_DIR"), "/proglog/_wire.rs"));
}

pub use stranger::log::v1 as proglog;

pub use generated::google::devtools::build::v1 as build_events;
pub use generated::log::v1 as log_v1;
pub use generated::millrace::v1 as millrace_v1;
pub use generated::pkg::proto::runner::v1 as runner_v1;
