//! The points about blobs in batches, trees, chunks and what the server says of itself.

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use prost::Message;
use tonic::Code;

use crate::app::{Options, TestApp, until, within};
use crate::cas_client::{Remote, digest, noise, put};
use millrace_server::auth::Role;
use millrace_server::config::RawCacheConfig;

const ZSTD: i32 = re::compressor::Value::Zstd as i32;

#[tokio::test]
async fn point_09_the_empty_blob_is_always_here() {
    let test = TestApp::open().await;
    for instance in ["", "never/used"] {
        let remote = Remote::within(&test, instance);
        let empty = digest(b"");
        assert!(remote.has(&empty).await);
        assert_eq!(remote.read(&remote.read_name(&empty)).await.expect("read"), b"");
        let packed = remote.read(&remote.zstd_name(&empty)).await.expect("read");
        assert_eq!(zstd::decode_all(&packed[..]).expect("zstd or nothing"), b"");
        let read = remote.read_batch(std::slice::from_ref(&empty), &[ZSTD]).await.expect("read");
        assert_eq!((read[0].0, read.len()), (0, 1));
        assert_eq!(remote.write(&remote.write_name(&empty), b"").await.expect("taken"), 0);
        assert_eq!(remote.update(vec![put(b"")]).await.expect("taken")[0].0, 0);
        assert_eq!(remote.status(&remote.write_name(&empty)).await.expect("here"), (0, true));
        let tree = remote.tree(&empty, 0, "").await.expect("the empty directory");
        assert_eq!(tree.iter().map(|page| page.directories.len()).sum::<usize>(), 1);
        for (function, hash) in [
            (re::digest_function::Value::Sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            (re::digest_function::Value::Blake3, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        ] {
            let request = re::FindMissingBlobsRequest {
                instance_name: instance.into(),
                blob_digests: vec![re::Digest { hash: hash.into(), size_bytes: 0 }],
                digest_function: function as i32,
            };
            let answer = remote.cas.clone().find_missing_blobs(request).await.expect("an answer").into_inner();
            assert!(answer.missing_blob_digests.is_empty(), "{function:?}");
        }
    }
    // Size 0 with another hash is no empty blob.
    let remote = Remote::of(&test);
    let other = re::Digest { hash: digest(b"x").hash, size_bytes: 0 };
    assert!(!remote.has(&other).await);
    test.close().await;
}

#[tokio::test]
async fn point_10_missing_blobs_are_those_asked_for_each_once() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let here = remote.put(&[b"one", b"two"]).await;
    let (a, b) = (digest(b"absent a"), digest(b"absent b"));
    let asked = vec![a.clone(), here[0].clone(), b.clone(), a.clone(), here[1].clone(), here[0].clone(), b.clone()];
    assert_eq!(remote.missing(&asked).await.expect("an answer"), vec![a, b]);
    assert!(remote.missing(&[]).await.expect("an answer").is_empty());
    // The same hash with another size is another blob, which is not here.
    let lie = re::Digest { size_bytes: 4, ..here[0].clone() };
    assert_eq!(remote.missing(&[lie.clone(), here[0].clone()]).await.expect("an answer"), vec![lie]);
    test.close().await;
}

#[tokio::test]
async fn point_10_asking_is_a_use_and_spares_from_eviction() {
    let cache = RawCacheConfig {
        limit: Some("20MB".into()),
        blob_max: Some("1MB".into()),
        lease_seconds: Some(0),
        ..Default::default()
    };
    let test = TestApp::start(Options { cache, ..Options::default() }).await;
    let remote = Remote::of(&test);
    let kept = remote.put_one(&noise(100_000, 1)).await;
    let forgotten = remote.put_one(&noise(100_000, 2)).await;
    for seed in 10..90 {
        remote.put_one(&noise(500_000, seed)).await;
        assert!(remote.has(&kept).await, "it was asked for each time ({seed})");
    }
    // Nobody asked for the other one while twice the limit came in.
    within("the one that nobody used goes", async {
        while remote.read(&remote.read_name(&forgotten)).await.is_ok() {
            remote.put_one(&noise(500_000, rand::random())).await;
        }
    })
    .await;
    until("the limit holds", || test.app.cache.blobs.usage().stored_bytes <= 20_000_000).await;
    test.close().await;
}

#[tokio::test]
async fn point_11_a_batch_over_the_limit_is_refused_and_else_each_blob_has_its_status() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let limit = remote.capabilities().await.expect("capabilities").cache_capabilities.expect("a cache");
    let limit = limit.max_batch_total_size_bytes as usize;
    // Right up to the limit it works, in both directions.
    let content = noise(limit, 1);
    let parts: Vec<&[u8]> = content.chunks(limit / 4).collect();
    let blobs = remote.put(&parts).await;
    let read = remote.read_batch(&blobs, &[]).await.expect("within the limit");
    assert!(read.iter().zip(&parts).all(|((code, data, form), part)| (*code, *form) == (0, 0) && data == part));
    let more = remote.put_one(b"one more").await;
    let too_many = [&blobs[..], &[more]].concat();
    let refused = remote.read_batch(&too_many, &[]).await.expect_err("over the limit");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains(&limit.to_string()), "{refused}");
    let requests = vec![put(&noise(limit, 2)), put(b"x")];
    let refused = remote.update(requests).await.expect_err("over the limit");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains(&limit.to_string()), "{refused}");

    // One that is wrong does not spoil the others.
    let mut wrong = put(b"wrong");
    wrong.data = b"wronG".to_vec();
    let mut short = put(b"short");
    short.data = b"shor".to_vec();
    let packed = re::batch_update_blobs_request::Request {
        digest: Some(digest(&[b'z'; 1000])),
        data: zstd::encode_all(&[b'z'; 1000][..], 1).expect("packs"),
        compressor: ZSTD,
    };
    let answers = remote.update(vec![put(b"good"), wrong, packed, short, put(b"good")]).await.expect("statuses");
    let codes: Vec<i32> = answers.iter().map(|(code, _)| *code).collect();
    let invalid = Code::InvalidArgument as i32;
    assert_eq!(codes, [0, invalid, 0, invalid, 0]);
    assert_eq!(answers[1].1, digest(b"wrong"), "the answers are in order and named");
    // A digest may be asked for twice; a missing one has its own status.
    let asked = [digest(b"good"), digest(b"absent"), digest(b"good"), digest(&[b'z'; 1000])];
    let read = remote.read_batch(&asked, &[]).await.expect("statuses");
    let codes: Vec<i32> = read.iter().map(|(code, ..)| *code).collect();
    assert_eq!(codes, [0, Code::NotFound as i32, 0, 0]);
    assert_eq!((&read[0].1[..], &read[3].1[..]), (&b"good"[..], &[b'z'; 1000][..]));
    assert!(read.iter().all(|(.., form)| *form == 0), "nobody said that zstd is fine");
    for (code, data, form) in remote.read_batch(&asked[2..], &[ZSTD]).await.expect("statuses") {
        let plain = if form == ZSTD { zstd::decode_all(&data[..]).expect("zstd") } else { data };
        assert!(code == 0 && (plain == b"good" || plain == [b'z'; 1000]));
    }
    test.close().await;
}

#[tokio::test]
async fn point_12_what_the_server_says_of_itself_is_what_works() {
    let test = TestApp::open().await;
    let remote = Remote::within(&test, "some/project");
    let said = remote.capabilities().await.expect("capabilities");
    let cache = said.cache_capabilities.expect("a cache");
    assert!((1..=4 * 1024 * 1024 - 1024).contains(&cache.max_batch_total_size_bytes));
    let execution = said.execution_capabilities.expect("what is not executed");
    assert!(execution.exec_enabled);
    assert_eq!(execution.digest_function, re::digest_function::Value::Sha256 as i32, "the singular");
    assert_eq!(execution.digest_functions, cache.digest_functions, "the plural");
    let low = said.low_api_version.expect("a version");
    let high = said.high_api_version.expect("a version");
    assert!((low.major, low.minor) == (2, 0) && high.major == 2 && high.minor >= 12);
    for function in &cache.digest_functions {
        let function = re::digest_function::Value::try_from(*function).expect("a known function");
        let hash = by_function(function, b"a blob").expect("a function that the test knows");
        let blob = re::Digest { hash, size_bytes: 6 };
        let request = re::batch_update_blobs_request::Request {
            digest: Some(blob.clone()),
            data: b"a blob".to_vec(),
            compressor: 0,
        };
        // BLAKE3 has to be named; of the others the length tells.
        let named = if function == re::digest_function::Value::Blake3 { function as i32 } else { 0 };
        let request = re::BatchUpdateBlobsRequest {
            instance_name: remote.instance.clone(),
            requests: vec![request],
            digest_function: named,
        };
        let answer = remote.cas.clone().batch_update_blobs(request).await.expect("taken").into_inner();
        assert_eq!(answer.responses[0].status.clone().unwrap_or_default().code, 0, "{function:?}");
        let prefix = if named == 0 { "" } else { "blake3/" };
        let name = remote.name(&format!("blobs/{prefix}{}/6", blob.hash));
        assert_eq!(remote.read(&name).await.expect("read"), b"a blob", "{function:?}");
    }
    assert!(!cache.digest_functions.contains(&(re::digest_function::Value::Md5 as i32)), "off unless asked for");
    let md5 = re::Digest { hash: "0cc175b9c0f1b6a831c399e269772661".into(), size_bytes: 1 };
    let refused = remote.missing(&[md5]).await.expect_err("MD5 is off");
    assert!(refused.code() == Code::InvalidArgument && refused.message().contains("--cache-md5"), "{refused}");
    test.close().await;
}

fn by_function(function: re::digest_function::Value, content: &[u8]) -> Option<String> {
    use re::digest_function::Value;
    use sha2::Digest as _;
    Some(match function {
        Value::Sha256 => crate::cas_client::hex(&sha2::Sha256::digest(content)),
        Value::Sha384 => crate::cas_client::hex(&sha2::Sha384::digest(content)),
        Value::Sha512 => crate::cas_client::hex(&sha2::Sha512::digest(content)),
        Value::Sha1 => crate::cas_client::hex(&sha1::Sha1::digest(content)),
        Value::Blake3 => blake3::hash(content).to_hex().to_string(),
        _ => return None,
    })
}

/// A directory of these files and folders.
fn directory(files: &[(&str, &re::Digest)], folders: &[(&str, &re::Digest)]) -> Vec<u8> {
    let file = |(name, digest): &(&str, &re::Digest)| re::FileNode {
        name: (*name).to_owned(),
        digest: Some((*digest).clone()),
        ..Default::default()
    };
    let folder = |(name, digest): &(&str, &re::Digest)| re::DirectoryNode {
        name: (*name).to_owned(),
        digest: Some((*digest).clone()),
    };
    let files = files.iter().map(file).collect();
    re::Directory { files, directories: folders.iter().map(folder).collect(), ..Default::default() }.encode_to_vec()
}

#[tokio::test]
async fn point_13_a_tree_comes_in_pages_each_directory_once() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let absent = digest(b"a directory that is not here");
    let missing = remote.tree(&absent, 0, "").await.expect_err("no root");
    assert_eq!(missing.code(), Code::NotFound, "{missing}");

    let file = digest(b"a file need not be here");
    let leaves: Vec<Vec<u8>> = (0..50).map(|number| directory(&[(&format!("file{number}"), &file)], &[])).collect();
    let leaf_digests = remote.put(&leaves.iter().map(Vec::as_slice).collect::<Vec<_>>()).await;
    let names: Vec<String> = (0..50).map(|number| format!("d{number:02}")).collect();
    let folders: Vec<(&str, &re::Digest)> = names.iter().map(String::as_str).zip(&leaf_digests).collect();
    let middle = directory(&[], &folders);
    let middle = remote.put_one(&middle).await;
    // The same folder twice, and one whose content is missing.
    let root = directory(&[("f", &file)], &[("again", &middle), ("gone", &absent), ("middle", &middle)]);
    let root = remote.put_one(&root).await;
    for page_size in [0, 1, 7, 500] {
        let pages = remote.tree(&root, page_size, "").await.expect("pages");
        let all: Vec<Vec<u8>> =
            pages.iter().flat_map(|page| page.directories.iter().map(Message::encode_to_vec)).collect();
        assert_eq!(all.len(), 52, "page size {page_size}");
        let distinct: std::collections::HashSet<&Vec<u8>> = all.iter().collect();
        assert_eq!(distinct.len(), 52, "each once");
        if page_size > 0 {
            assert!(pages.iter().all(|page| page.directories.len() <= page_size as usize));
        }
        assert!(pages.last().expect("a page").next_page_token.is_empty(), "no more");
    }
    // From the token of a page on: what has not been seen yet.
    let pages = remote.tree(&root, 20, "").await.expect("pages");
    let rest = remote.tree(&root, 20, &pages[0].next_page_token).await.expect("the rest");
    let count = |pages: &[re::GetTreeResponse]| pages.iter().map(|page| page.directories.len()).sum::<usize>();
    assert_eq!(pages[0].directories.len() + count(&rest), 52);
    let refused = remote.tree(&root, 0, "garbage").await.expect_err("no token of ours");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    test.close().await;
}

#[tokio::test]
async fn point_17_what_a_caller_may_do_is_what_it_is_told() {
    let test = TestApp::with_tokens().await;
    for (role, may) in [(Role::CacheRead, false), (Role::CacheWrite, true), (Role::Execute, true), (Role::Admin, true)]
    {
        let token = test.token(role).await;
        let remote = Remote::with(&test, &token, "");
        let said = remote.capabilities().await.expect("capabilities").cache_capabilities.expect("a cache");
        let told = said.action_cache_update_capabilities.expect("said").update_enabled;
        assert_eq!(told, may, "{}", role.word());
        let update = remote.update_action(&digest(b"an action"), re::ActionResult::default()).await;
        assert_eq!(update.is_ok(), may, "{}", role.word());
        assert!(said.max_cas_blob_size_bytes > 0);
        let ranges = said.cache_priority_capabilities.expect("priorities").priorities;
        assert!(ranges.iter().all(|range| (range.min_priority, range.max_priority) == (0, 0)));
    }
    test.close().await;
}

#[tokio::test]
async fn point_17_the_largest_blob_is_the_one_that_is_said() {
    let cache = RawCacheConfig { blob_max: Some("1MB".into()), ..Default::default() };
    let test = TestApp::start(Options { cache, ..Options::default() }).await;
    let remote = Remote::of(&test);
    let said = remote.capabilities().await.expect("capabilities").cache_capabilities.expect("a cache");
    assert_eq!(said.max_cas_blob_size_bytes, 1_000_000);
    remote.upload(&noise(1_000_000, 1)).await;
    let large = noise(1_000_001, 2);
    let refused = remote.write(&remote.write_name(&digest(&large)), &large).await.expect_err("too large");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains("1000000"), "{refused}");
    test.close().await;
}

#[tokio::test]
async fn point_18_blobs_are_split_and_spliced_and_zstd_is_taken_everywhere() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let said = remote.capabilities().await.expect("capabilities").cache_capabilities.expect("a cache");
    assert!(said.split_blob_support && said.splice_blob_support);
    assert_eq!(said.fast_cdc_2020_params.expect("parameters").avg_chunk_size_bytes, 512 * 1024);
    for compressors in [&said.supported_compressors, &said.supported_batch_update_compressors] {
        assert!(compressors.contains(&ZSTD));
    }
    let content = noise(10_000_000, 1);
    let blob = remote.upload(&content).await;
    let request = re::SplitBlobRequest { blob_digest: Some(blob.clone()), ..Default::default() };
    let chunks = within("SplitBlob", remote.cas.clone().split_blob(request)).await.expect("split").into_inner();
    assert_eq!(chunks.chunking_function, re::chunking_function::Value::FastCdc2020 as i32);
    let chunks = chunks.chunk_digests;
    assert!(chunks.len() > 5, "{}", chunks.len());
    let (last, others) = chunks.split_last().expect("chunks");
    assert!(others.iter().all(|chunk| (128 * 1024..=2048 * 1024).contains(&chunk.size_bytes)));
    assert!(last.size_bytes <= 2048 * 1024);
    let mut joined = Vec::new();
    for chunk in &chunks {
        joined.extend(remote.read(&remote.read_name(chunk)).await.expect("a chunk"));
    }
    assert!(joined == content);
    // The newer form of the same, in messages.
    let request = re::GetChunkMappingRequest {
        blob_digest: Some(blob.clone()),
        digest_function: re::digest_function::Value::Sha256 as i32,
        ..Default::default()
    };
    let mut stream = remote.cas.clone().get_chunk_mapping(request).await.expect("a mapping").into_inner();
    let mut mapped = Vec::new();
    while let Some(message) = within("the mapping", stream.message()).await.expect("a message") {
        mapped.extend(message.chunk_digests);
    }
    assert_eq!(mapped, chunks);

    // Together again where the blob is not yet.
    let elsewhere = Remote::within(&test, "elsewhere");
    for chunk in &chunks {
        let content = remote.read(&remote.read_name(chunk)).await.expect("a chunk");
        elsewhere.upload(&content).await;
    }
    let splice = |blob: &re::Digest, chunks: &[re::Digest]| re::SpliceBlobRequest {
        instance_name: "elsewhere".into(),
        blob_digest: Some(blob.clone()),
        chunk_digests: chunks.to_vec(),
        ..Default::default()
    };
    let absent = [re::Digest { size_bytes: blob.size_bytes, ..digest(b"absent") }];
    let wrong = elsewhere.cas.clone().splice_blob(splice(&blob, &chunks[1..])).await.expect_err("not this blob");
    assert_eq!(wrong.code(), Code::InvalidArgument, "{wrong}");
    let absent = elsewhere.cas.clone().splice_blob(splice(&blob, &absent)).await.expect_err("no chunk");
    assert_eq!(absent.code(), Code::NotFound, "{absent}");
    assert!(!elsewhere.has(&blob).await);
    let spliced = within("SpliceBlob", elsewhere.cas.clone().splice_blob(splice(&blob, &chunks))).await;
    assert_eq!(spliced.expect("spliced").into_inner().blob_digest, Some(blob.clone()));
    assert!(elsewhere.read(&elsewhere.read_name(&blob)).await.expect("read") == content);
    test.close().await;
}
