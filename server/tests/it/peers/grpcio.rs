//! grpcio from Python: a gibibyte in one stream, up and down, and zstd. The scripts are in `grpcio/`.

use super::tool::{command, fixture, installed, succeeded};
use crate::app::TestApp;

async fn stream(what: &str, instance: &str) {
    let test = TestApp::open().await;
    let mut python = command(&installed("python/bin/python"));
    python.arg(fixture("grpcio/stream.py")).args([what, test.address(), instance]);
    python.current_dir(test.scratch()).env("PYTHONDONTWRITEBYTECODE", "1");
    let said = succeeded(&mut python).await;
    println!("grpcio, {what}: {}", said.out.trim());
    test.close().await;
}

#[tokio::test]
async fn grpcio_streams_a_gibibyte() {
    stream("large", "team/app").await;
}

#[tokio::test]
async fn grpcio_sends_and_gets_zstd() {
    stream("zstd", "").await;
}
