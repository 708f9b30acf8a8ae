//! Calls any method of any service with an empty message and tells how it ended: for tables of all methods.

use millrace_bench::wire::log_v1::{self, log_client::LogClient};
use prost::Message;
use prost::bytes::{Buf, BufMut};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Status};

use crate::app::{TestApp, within};

/// Every method that is served, as `package.Service/Method`: from the descriptors, so that none is forgotten.
pub fn all_methods() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(millrace_proto::FILE_DESCRIPTOR_SET).expect("a descriptor set");
    let mut methods = Vec::new();
    for file in &set.file {
        for service in &file.service {
            let names = service.method.iter().map(prost_types::MethodDescriptorProto::name);
            methods.extend(names.map(|method| format!("{}.{}/{method}", file.package(), service.name())));
        }
    }
    // These come with crates of their own.
    for service in ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"] {
        methods.push(format!("{service}/ServerReflectionInfo"));
    }
    methods.extend(["grpc.health.v1.Health/Check".to_owned(), "grpc.health.v1.Health/Watch".to_owned()]);
    methods
}

/// How an empty message to a method ends, for who has this token: the code of the refusal, or Ok at a first message.
pub async fn ends_with(test: &TestApp, method: &str, token: Option<&str>) -> (Code, String) {
    let mut grpc = tonic::client::Grpc::new(test.wire_with(token));
    grpc.ready().await.expect("ready");
    let path = format!("/{method}").parse().expect("a path");
    let request = Request::new(tokio_stream::once(Vec::new()));
    let called = async {
        let mut stream = grpc.streaming(request, path, Raw).await?.into_inner();
        if method.ends_with("/WatchRuns") {
            // Nothing comes until something changes.
            test.run("jobs: { a: { runs-on: nobody, steps: [{ run: a }] } }").await;
        }
        if method.ends_with("/ConsumeStream") {
            // The same.
            let record = Some(log_v1::Record { value: b"one".to_vec(), offset: 0 });
            LogClient::new(test.wire()).produce(log_v1::ProduceRequest { record, log: None }).await?;
        }
        stream.message().await.map(drop)
    };
    match within(method, called).await {
        Ok(()) => (Code::Ok, String::new()),
        Err(status) => (status.code(), status.message().to_owned()),
    }
}

/// Messages as bytes.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}
