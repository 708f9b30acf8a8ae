//! The types that `google.protobuf.Any` may hold in JSON: without them an Any prints as base64. Knows nothing of who
//! puts what in an Any.

use std::sync::Once;

use buffa::type_registry::{TypeRegistry, set_type_registry};

use crate::{asset, build_event_stream, build_events, bytestream, logstream, longrunning, reapi, rpc, semver};

/// Makes the well-known types, google.rpc's error details, the messages of remote execution and the events of builds
/// readable in the JSON of an Any. A server calls it once before it serves; further calls do nothing.
pub fn register_any_types() {
    // The registry belongs to the whole process, and each one that is set stays in memory.
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut types = TypeRegistry::new();
        buffa_types::register_wkt_types(&mut types);
        rpc::register_types(&mut types);
        longrunning::register_types(&mut types);
        bytestream::register_types(&mut types);
        semver::register_types(&mut types);
        reapi::register_types(&mut types);
        asset::register_types(&mut types);
        logstream::register_types(&mut types);
        build_events::register_types(&mut types);
        build_event_stream::register_types(&mut types);
        set_type_registry(types);
    });
}

#[cfg(test)]
mod tests {
    use buffa_types::google::protobuf::{Any, Duration};

    use super::*;

    #[test]
    fn an_any_is_readable_in_json() {
        register_any_types();
        register_any_types();
        let metadata = reapi::ExecuteOperationMetadata {
            stage: reapi::execution_stage::Value::QUEUED.into(),
            stdout_stream_name: "logstreams/1".into(),
            ..Default::default()
        };
        let retry =
            rpc::RetryInfo { retry_delay: Duration { seconds: 2, ..Default::default() }.into(), ..Default::default() };
        let operation = longrunning::Operation {
            name: "1".into(),
            metadata: Any::pack(
                &metadata,
                "type.googleapis.com/build.bazel.remote.execution.v2.ExecuteOperationMetadata",
            )
            .into(),
            ..Default::default()
        };
        assert_eq!(
            serde_json::to_value(&operation).unwrap(),
            serde_json::json!({
                "name": "1",
                "metadata": {
                    "@type": "type.googleapis.com/build.bazel.remote.execution.v2.ExecuteOperationMetadata",
                    "stage": "QUEUED",
                    "stdoutStreamName": "logstreams/1",
                },
            })
        );
        let any = Any::pack(&retry, "type.googleapis.com/google.rpc.RetryInfo");
        let json = serde_json::to_value(&any).unwrap();
        assert_eq!(json["retryDelay"], "2s");
        assert_eq!(serde_json::from_value::<Any>(json).unwrap(), any);
    }
}
