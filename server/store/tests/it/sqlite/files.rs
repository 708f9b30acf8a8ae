//! The database as a file: made, kept to its owner, opened again, opened twice, closed.

use millrace_engine::error::Error;
use millrace_engine::scheduler::store::RunStore;
use millrace_engine::testing::run_store::run_with_queued;
use millrace_engine::tokens::{IssuedToken, TokenStore};
use millrace_store::sqlite::SqliteStore;
use sqlx::Connection;

use super::Databases;

fn token(id: &str) -> IssuedToken {
    IssuedToken {
        id: id.into(),
        label: String::new(),
        role: "admin".into(),
        project: String::new(),
        created_ms: 1,
        expires_ms: 2,
        revoked: false,
    }
}

/// Versions before have a bug that can lose the write-ahead log.
#[tokio::test]
async fn the_library_is_recent_enough() {
    let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:").await.expect("connects");
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut connection).await.expect("asks");
    let parts: Vec<u32> = version.split('.').map(|part| part.parse().expect("a number")).collect();
    assert!(parts >= vec![3, 51, 3], "SQLite {version}");
}

#[tokio::test]
async fn the_file_is_its_owners_and_is_found_again() {
    let databases = Databases::new();
    let path = databases.path();
    let store = SqliteStore::open(&path).await.expect("opens");
    store.ping().await.expect("answers");
    let run = store.create(run_with_queued("a", &[&["linux"]])).await.expect("creates");
    #[cfg(unix)]
    for name in ["millrace.db", "millrace.db-wal", "millrace.db-shm"] {
        let file = std::fs::metadata(path.with_file_name(name)).expect("is there");
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.permissions());
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    store.close().await;
    let left: Vec<_> = std::fs::read_dir(path.parent().expect("has one"))
        .expect("lists")
        .map(|file| file.expect("lists").file_name())
        .collect();
    assert_eq!(left, ["millrace.db"], "a closed database is one file");
    let store = SqliteStore::open(&path).await.expect("opens again");
    assert_eq!(store.get("a").await.expect("reads"), Some(run));
}

#[tokio::test]
async fn a_closed_store_is_unavailable() {
    let databases = Databases::new();
    let store = databases.open().await;
    let handle = store.clone();
    store.close().await;
    store.close().await;
    for refused in [
        handle.get("a").await.map(|_| ()),
        handle.create(run_with_queued("a", &[])).await.map(|_| ()),
        handle.ping().await,
    ] {
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
}

/// As when a token is made on the command line while the server runs.
#[tokio::test(flavor = "multi_thread")]
async fn two_stores_on_one_file_take_turns() {
    let databases = Databases::new();
    let path = databases.path();
    let (one, other) = tokio::join!(SqliteStore::open(&path), SqliteStore::open(&path));
    let (one, other) = (one.expect("opens"), other.expect("opens at the same time"));
    let writes = (0..50).map(|place| {
        let store = if place % 2 == 0 { one.clone() } else { other.clone() };
        tokio::spawn(async move { store.issued(token(&place.to_string())).await })
    });
    for written in futures::future::join_all(writes).await {
        written.expect("joins").expect("writes");
    }
    assert_eq!(one.list_tokens().await.expect("lists").len(), 50);
    assert!(one.is_good("49").await.expect("reads"), "each sees what the other wrote");
    one.close().await;
    other.issued(token("last")).await.expect("the other one goes on");
}

#[tokio::test]
async fn what_is_no_database_is_said_to_be_none() {
    let databases = Databases::new();
    let path = databases.path();
    std::fs::create_dir_all(path.parent().expect("has one")).expect("makes a folder");
    std::fs::write(&path, "this is some text and not a database, and it is long enough to see that".repeat(99))
        .expect("writes");
    let refused = SqliteStore::open(&path).await.map(|_| ());
    assert!(matches!(&refused, Err(Error::Internal(message)) if message.contains("not a database")), "{refused:?}");
}
