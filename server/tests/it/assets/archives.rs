//! FetchDirectory of archives, good ones and evil ones.

use std::io::Write as _;

use tonic::Code;

use super::upstream::{Upstream, ok};
use super::{code, fetch_directory, listing, server};

/// A tar file: path, type, target, mode.
fn tar(entries: &[(&str, u8, &str, u32)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, target, mode) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(*mode);
        let content: &[u8] = if *kind == b'0' { path.as_bytes() } else { b"" };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).expect("in memory");
    }
    builder.into_inner().expect("in memory")
}

fn good() -> Vec<u8> {
    tar(&[
        ("./top/run.sh", b'0', "", 0o755),
        ("top/empty/", b'5', "", 0o755),
        ("top/link", b'2', "run.sh", 0o777),
        ("top/hard", b'1', "top/run.sh", 0o644),
        ("top/sub/z", b'0', "", 0o644),
        ("top/sub/a", b'0', "", 0o644),
    ])
}

fn zipped() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("top/run.sh", options.unix_permissions(0o755)).expect("in memory");
    zip.write_all(b"top/run.sh").expect("in memory");
    zip.start_file("top/sub/a", options).expect("in memory");
    zip.add_symlink("top/link", "run.sh", options).expect("in memory");
    zip.finish().expect("in memory").into_inner()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(data).expect("in memory");
    out.finish().expect("in memory")
}

fn bzip2(data: &[u8]) -> Vec<u8> {
    let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    out.write_all(data).expect("in memory");
    out.finish().expect("in memory")
}

/// By the program, where it is: no encoder is built in.
fn xz(data: &[u8]) -> Option<Vec<u8>> {
    use std::process::{Command, Stdio};
    let mut child = Command::new("xz").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    child.stdin.take()?.write_all(data).ok()?;
    Some(child.wait_with_output().ok()?.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn point_33_archives_become_directories() {
    let test = server().await;
    let zstd = zstd::stream::encode_all(good().as_slice(), 1).expect("in memory");
    let files = vec![
        ("/a.tar", "application/x-tar", good()),
        ("/a.tar.gz", "application/gzip", gzip(&good())),
        ("/a.tar.bz2", "application/x-bzip2", bzip2(&good())),
        ("/a.tar.zst", "application/zstd", zstd),
        ("/a.tar.xz", "application/x-xz", xz(&good()).unwrap_or_else(good)),
        ("/a.zip", "application/zip", zipped()),
    ];
    let served = files.clone();
    let upstream = Upstream::start(move |request| {
        let found = served.iter().find(|(path, _, _)| *path == request.target);
        ok(&found.expect("a known path").2)
    })
    .await;
    let expected = ["top/empty/(empty)", "top/hard*", "top/link -> run.sh", "top/run.sh*", "top/sub/a", "top/sub/z"];
    let mut roots = Vec::new();
    for (path, kind, content) in &files {
        if *path == "/a.tar.xz" && content == &good() {
            continue;
        }
        for pairs in [&[][..], &[("resource_type", *kind)]] {
            let found = fetch_directory(&test, &upstream.url(path), pairs).await.expect("an answer");
            assert_eq!(code(found.status.as_ref()), Code::Ok, "{path}: {:?}", found.status);
            let root = found.root_directory_digest.expect("a root");
            if *path == "/a.zip" {
                assert_eq!(listing(&test, &root).await, ["top/link -> run.sh", "top/run.sh*", "top/sub/a"]);
            } else {
                assert_eq!(listing(&test, &root).await, expected, "{path}");
                roots.push(root);
            }
        }
    }
    assert!(roots.windows(2).all(|pair| pair[0] == pair[1]));
    let below = [("directory", "top/sub")];
    let found = fetch_directory(&test, &upstream.url("/a.tar.gz"), &below).await.expect("an answer");
    assert_eq!(listing(&test, &found.root_directory_digest.expect("a root")).await, ["a", "z"]);
    for (pairs, expected) in [
        (("directory", "nothing"), Code::Aborted),
        (("resource_type", "application/zip"), Code::Aborted),
        (("checksum.sri", &*super::checksum(b"x")), Code::Aborted),
    ] {
        let failed = fetch_directory(&test, &upstream.url("/a.tar.gz"), &[pairs]).await.expect("an answer");
        assert_eq!(code(failed.status.as_ref()), expected, "{pairs:?}: {:?}", failed.status);
    }
    for pair in [("directory", "../x"), ("directory", "/x"), ("resource_type", "text/html"), ("x", "y")] {
        let refused = fetch_directory(&test, &upstream.url("/a.tar.gz"), &[pair]).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{pair:?}");
    }
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evil_archives_are_refused() {
    let test = server().await;
    let bomb = {
        // A header that says 8 GiB of zeros, and a gigabyte or so of them would follow: none is believed.
        let mut header = tar::Header::new_ustar();
        header.set_path("zeros").expect("a path");
        header.set_entry_type(tar::EntryType::new(b'L'));
        header.set_size(64 << 20);
        header.set_cksum();
        gzip(&[header.as_bytes().as_slice(), &vec![b'x'; 64 << 20]].concat())
    };
    let evil: Vec<(&str, Vec<u8>)> = vec![
        ("/absolute", tar(&[("/etc/passwd", b'0', "", 0o644)])),
        ("/up", tar(&[("a/../../x", b'0', "", 0o644)])),
        ("/through", tar(&[("l", b'2', "/tmp", 0o777), ("l/x", b'0', "", 0o644)])),
        ("/out", tar(&[("l", b'2', "../../etc/passwd", 0o777)])),
        ("/hard-out", tar(&[("l", b'1', "/etc/passwd", 0o644)])),
        ("/device", tar(&[("d", b'3', "", 0o644)])),
        ("/pipe", tar(&[("p", b'6', "", 0o644)])),
        ("/sparse", tar(&[("s", b'S', "", 0o644)])),
        ("/long-name", bomb),
        ("/truncated", gzip(&good())[..100].to_vec()),
        ("/garbage", b"\x1f\x8bgarbage".to_vec()),
        ("/text", vec![b'x'; 1_000]),
        ("/zip", {
            let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
            zip.start_file("..\\..\\x", zip::write::SimpleFileOptions::default()).expect("in memory");
            zip.finish().expect("in memory").into_inner()
        }),
    ];
    let served = evil.clone();
    let upstream = Upstream::start(move |request| {
        ok(&served.iter().find(|(path, _)| *path == request.target).expect("a known path").1)
    })
    .await;
    for (path, _) in &evil {
        let failed = fetch_directory(&test, &upstream.url(path), &[]).await.expect("an answer");
        assert_eq!(code(failed.status.as_ref()), Code::Aborted, "{path}: {:?}", failed.status);
    }
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_stopped_at_the_limit() {
    let max = millrace_server::config::RawAssetConfig {
        asset_allow: Some("127.0.0.1".into()),
        asset_max: Some("1MB".into()),
        ..Default::default()
    };
    let test = super::server_with(max).await;
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(20_000_000);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append_data(&mut header, "zeros", vec![0; 20_000_000].as_slice()).expect("in memory");
    let bomb = gzip(&builder.into_inner().expect("in memory"));
    assert!(bomb.len() < 1_000_000);
    let upstream = Upstream::start(move |_| ok(&bomb)).await;
    let failed = fetch_directory(&test, &upstream.url("/bomb.tar.gz"), &[]).await.expect("an answer");
    assert_eq!(code(failed.status.as_ref()), Code::ResourceExhausted, "{:?}", failed.status);
    test.close().await;
}
