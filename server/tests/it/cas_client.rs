//! A client of remote execution's cache that shares no code with the server: messages and stubs are generated from the
//! published API by somebody else. Hashes are made here, too.

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use bazel_remote_apis::google::bytestream as bs;
use re::action_cache_client::ActionCacheClient;
use re::batch_update_blobs_request::Request as Put;
use re::capabilities_client::CapabilitiesClient;
use re::content_addressable_storage_client::ContentAddressableStorageClient;
use sha2::{Digest as _, Sha256};
use tonic::Status;

use crate::app::{TestApp, Wire, within};

/// Tests send and take messages up to here.
const MESSAGE_MAX_BYTES: usize = 256 * 1024 * 1024;
/// How much of a blob goes in one message.
const PIECE_BYTES: usize = 64 * 1024;

/// The clients of one caller in one instance.
#[derive(Clone)]
pub struct Remote {
    /// The instance.
    pub instance: String,
    /// Blobs.
    pub cas: ContentAddressableStorageClient<Wire>,
    /// Streams.
    pub bytes: bs::byte_stream_client::ByteStreamClient<Wire>,
    /// Action results.
    pub actions: ActionCacheClient<Wire>,
    /// What the server does.
    pub capabilities: CapabilitiesClient<Wire>,
}

impl Remote {
    /// The fixture's caller, in the instance without a name.
    pub fn of(test: &TestApp) -> Self {
        Self::over(test.wire(), "")
    }

    /// The fixture's caller in an instance.
    pub fn within(test: &TestApp, instance: &str) -> Self {
        Self::over(test.wire(), instance)
    }

    /// Somebody with a token.
    pub fn with(test: &TestApp, token: &str, instance: &str) -> Self {
        Self::over(test.wire_with(Some(token)), instance)
    }

    /// Over any connection.
    pub fn over(wire: Wire, instance: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            cas: ContentAddressableStorageClient::new(wire.clone())
                .max_decoding_message_size(MESSAGE_MAX_BYTES)
                .max_encoding_message_size(MESSAGE_MAX_BYTES),
            bytes: bs::byte_stream_client::ByteStreamClient::new(wire.clone())
                .max_decoding_message_size(MESSAGE_MAX_BYTES)
                .max_encoding_message_size(MESSAGE_MAX_BYTES),
            actions: ActionCacheClient::new(wire.clone()).max_decoding_message_size(MESSAGE_MAX_BYTES),
            capabilities: CapabilitiesClient::new(wire),
        }
    }

    /// Which of these are missing.
    pub async fn missing(&self, digests: &[re::Digest]) -> Result<Vec<re::Digest>, Status> {
        let request = re::FindMissingBlobsRequest {
            instance_name: self.instance.clone(),
            blob_digests: digests.to_vec(),
            ..Default::default()
        };
        let answer = within("FindMissingBlobs", self.cas.clone().find_missing_blobs(request)).await?;
        Ok(answer.into_inner().missing_blob_digests)
    }

    /// Whether a blob is here.
    pub async fn has(&self, digest: &re::Digest) -> bool {
        self.missing(std::slice::from_ref(digest)).await.expect("an answer").is_empty()
    }

    /// Stores blobs in a batch; each must be taken.
    pub async fn put(&self, contents: &[&[u8]]) -> Vec<re::Digest> {
        let requests: Vec<Put> = contents.iter().map(|content| put(content)).collect();
        let digests = requests.iter().filter_map(|one| one.digest.clone()).collect();
        for (status, digest) in self.update(requests).await.expect("a batch") {
            assert_eq!(status, 0, "{digest:?}");
        }
        digests
    }

    /// Stores a blob in a batch of its own.
    pub async fn put_one(&self, content: &[u8]) -> re::Digest {
        self.put(&[content]).await.remove(0)
    }

    /// A batch of uploads: code and digest of each.
    pub async fn update(&self, requests: Vec<Put>) -> Result<Vec<(i32, re::Digest)>, Status> {
        let request =
            re::BatchUpdateBlobsRequest { instance_name: self.instance.clone(), requests, ..Default::default() };
        let answer = within("BatchUpdateBlobs", self.cas.clone().batch_update_blobs(request)).await?.into_inner();
        Ok(answer.responses.into_iter().map(|one| (code(one.status), one.digest.unwrap_or_default())).collect())
    }

    /// A batch of downloads: code, content and compressor of each.
    pub async fn read_batch(
        &self,
        digests: &[re::Digest],
        compressors: &[i32],
    ) -> Result<Vec<(i32, Vec<u8>, i32)>, Status> {
        let request = re::BatchReadBlobsRequest {
            instance_name: self.instance.clone(),
            digests: digests.to_vec(),
            acceptable_compressors: compressors.to_vec(),
            ..Default::default()
        };
        let answer = within("BatchReadBlobs", self.cas.clone().batch_read_blobs(request)).await?.into_inner();
        Ok(answer.responses.into_iter().map(|one| (code(one.status), one.data, one.compressor)).collect())
    }

    /// The name by which a blob is read.
    pub fn read_name(&self, digest: &re::Digest) -> String {
        self.name(&format!("blobs/{}/{}", digest.hash, digest.size_bytes))
    }

    /// The name by which it is read compressed.
    pub fn zstd_name(&self, digest: &re::Digest) -> String {
        self.name(&format!("compressed-blobs/zstd/{}/{}", digest.hash, digest.size_bytes))
    }

    /// The name of an upload.
    pub fn write_name(&self, digest: &re::Digest) -> String {
        self.name(&format!("uploads/{}/blobs/{}/{}", uuid::Uuid::new_v4(), digest.hash, digest.size_bytes))
    }

    /// The name of a compressed upload.
    pub fn write_zstd_name(&self, digest: &re::Digest) -> String {
        let id = uuid::Uuid::new_v4();
        self.name(&format!("uploads/{id}/compressed-blobs/zstd/{}/{}", digest.hash, digest.size_bytes))
    }

    /// A resource name in this instance.
    pub fn name(&self, rest: &str) -> String {
        if self.instance.is_empty() { rest.to_owned() } else { format!("{}/{rest}", self.instance) }
    }

    /// Reads by name.
    pub async fn read(&self, name: &str) -> Result<Vec<u8>, Status> {
        self.read_part(name, 0, 0).await
    }

    /// Reads a part by name.
    pub async fn read_part(&self, name: &str, offset: i64, limit: i64) -> Result<Vec<u8>, Status> {
        let request = bs::ReadRequest { resource_name: name.into(), read_offset: offset, read_limit: limit };
        let mut content = Vec::new();
        let mut stream = within("Read", self.bytes.clone().read(request)).await?.into_inner();
        while let Some(answer) = within("the blob", stream.message()).await? {
            assert!(!answer.data.is_empty(), "an empty piece");
            assert!(answer.data.len() <= 3 * 1024 * 1024, "a piece of {} bytes", answer.data.len());
            content.extend(answer.data);
        }
        Ok(content)
    }

    /// Uploads by name in pieces; answers the committed size.
    pub async fn write(&self, name: &str, content: &[u8]) -> Result<i64, Status> {
        self.send(pieces(name, content)).await
    }

    /// Uploads a blob.
    pub async fn upload(&self, content: &[u8]) -> re::Digest {
        let digest = digest(content);
        let committed = self.write(&self.write_name(&digest), content).await.expect("an upload");
        assert_eq!(committed, digest.size_bytes);
        digest
    }

    /// Sends messages as they are.
    pub async fn send(&self, messages: Vec<bs::WriteRequest>) -> Result<i64, Status> {
        let answer = within("Write", self.bytes.clone().write(tokio_stream::iter(messages))).await?;
        Ok(answer.into_inner().committed_size)
    }

    /// How far an upload is: committed size, and whether it is complete.
    pub async fn status(&self, name: &str) -> Result<(i64, bool), Status> {
        let request = bs::QueryWriteStatusRequest { resource_name: name.into() };
        let answer = within("QueryWriteStatus", self.bytes.clone().query_write_status(request)).await?.into_inner();
        Ok((answer.committed_size, answer.complete))
    }

    /// The result of an action.
    pub async fn action(&self, action: &re::Digest) -> Result<re::ActionResult, Status> {
        let request = re::GetActionResultRequest {
            instance_name: self.instance.clone(),
            action_digest: Some(action.clone()),
            ..Default::default()
        };
        self.get_action(request).await
    }

    /// The same as it is asked for.
    pub async fn get_action(&self, request: re::GetActionResultRequest) -> Result<re::ActionResult, Status> {
        Ok(within("GetActionResult", self.actions.clone().get_action_result(request)).await?.into_inner())
    }

    /// Stores the result of an action.
    pub async fn update_action(
        &self,
        action: &re::Digest,
        result: re::ActionResult,
    ) -> Result<re::ActionResult, Status> {
        let request = re::UpdateActionResultRequest {
            instance_name: self.instance.clone(),
            action_digest: Some(action.clone()),
            action_result: Some(result),
            ..Default::default()
        };
        Ok(within("UpdateActionResult", self.actions.clone().update_action_result(request)).await?.into_inner())
    }

    /// A page of a tree, or all of them.
    pub async fn tree(
        &self,
        root: &re::Digest,
        page_size: i32,
        page_token: &str,
    ) -> Result<Vec<re::GetTreeResponse>, Status> {
        let request = re::GetTreeRequest {
            instance_name: self.instance.clone(),
            root_digest: Some(root.clone()),
            page_size,
            page_token: page_token.into(),
            ..Default::default()
        };
        let mut stream = within("GetTree", self.cas.clone().get_tree(request)).await?.into_inner();
        let mut pages = Vec::new();
        while let Some(page) = within("a page", stream.message()).await? {
            pages.push(page);
        }
        Ok(pages)
    }

    /// What the server says it does.
    pub async fn capabilities(&self) -> Result<re::ServerCapabilities, Status> {
        let request = re::GetCapabilitiesRequest { instance_name: self.instance.clone() };
        Ok(within("GetCapabilities", self.capabilities.clone().get_capabilities(request)).await?.into_inner())
    }
}

/// The messages of an upload.
pub fn pieces(name: &str, content: &[u8]) -> Vec<bs::WriteRequest> {
    let mut messages: Vec<bs::WriteRequest> = content
        .chunks(PIECE_BYTES)
        .enumerate()
        .map(|(index, piece)| bs::WriteRequest {
            resource_name: if index == 0 { name.into() } else { String::new() },
            write_offset: (index * PIECE_BYTES) as i64,
            finish_write: false,
            data: piece.to_vec(),
        })
        .collect();
    if messages.is_empty() {
        messages.push(bs::WriteRequest { resource_name: name.into(), ..Default::default() });
    }
    messages.last_mut().expect("one").finish_write = true;
    messages
}

/// The SHA-256 digest of a content.
pub fn digest(content: &[u8]) -> re::Digest {
    re::Digest { hash: hex(&Sha256::digest(content)), size_bytes: content.len() as i64 }
}

/// Bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An upload of a batch.
pub fn put(content: &[u8]) -> Put {
    Put { digest: Some(digest(content)), data: content.to_vec(), compressor: 0 }
}

/// A result that names output files, of contents that are here or not.
pub fn result(files: &[(&str, &re::Digest)]) -> re::ActionResult {
    let file = |(path, digest): &(&str, &re::Digest)| re::OutputFile {
        path: (*path).to_owned(),
        digest: Some((*digest).clone()),
        ..Default::default()
    };
    re::ActionResult { output_files: files.iter().map(file).collect(), ..Default::default() }
}

/// Bytes that don't shrink, the same for each seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut content = Vec::with_capacity(length + 8);
    while content.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend(state.to_le_bytes());
    }
    content.truncate(length);
    content
}

fn code(status: Option<bazel_remote_apis::google::rpc::Status>) -> i32 {
    status.map_or(0, |status| status.code)
}
