//! What every [`TokenStore`] must do.

use std::sync::Arc;

use crate::error::Error;
use crate::tokens::{IssuedToken, TokenStore};

/// Runs the suite; `open` makes an empty store.
pub async fn run<F: Future<Output = Arc<dyn TokenStore>>>(open: impl Fn() -> F) {
    tokens_are_listed_newest_first(&*open().await).await;
    a_token_is_good_until_it_is_taken_back(&*open().await).await;
    a_login_link_is_good_once(open().await).await;
    a_login_link_ends(&*open().await).await;
}

fn token(id: &str, created_ms: i64) -> IssuedToken {
    IssuedToken {
        id: id.into(),
        label: format!("label of {id}"),
        role: "admin".into(),
        project: "mill".into(),
        created_ms,
        expires_ms: created_ms + 1000,
        revoked: false,
    }
}

async fn tokens_are_listed_newest_first(store: &dyn TokenStore) {
    assert_eq!(store.list_tokens().await.expect("lists"), vec![]);
    let (old, new) = (token("z", 10), token("a", 20));
    store.issued(old.clone()).await.expect("stores");
    store.issued(new.clone()).await.expect("stores");
    assert_eq!(store.list_tokens().await.expect("lists"), vec![new, old]);
    let again = store.issued(token("a", 30)).await;
    assert!(matches!(again, Err(Error::Conflict(_))), "an id is issued once: {again:?}");
}

async fn a_token_is_good_until_it_is_taken_back(store: &dyn TokenStore) {
    assert!(!store.is_good("a").await.expect("looks"), "never issued");
    store.issued(token("a", 10)).await.expect("stores");
    store.issued(token("b", 10)).await.expect("stores");
    assert!(store.is_good("a").await.expect("looks"));
    store.revoke("a").await.expect("revokes");
    store.revoke("a").await.expect("revokes what is revoked");
    assert!(!store.is_good("a").await.expect("looks"));
    assert!(store.is_good("b").await.expect("looks"), "others stay");
    let revoked: Vec<_> =
        store.list_tokens().await.expect("lists").into_iter().map(|token| (token.id, token.revoked)).collect();
    assert_eq!(revoked, [("b".to_owned(), false), ("a".to_owned(), true)], "a revoked token stays in the list");
    let unknown = store.revoke("c").await;
    assert!(matches!(unknown, Err(Error::NotFound(_))), "{unknown:?}");
}

async fn a_login_link_is_good_once(store: Arc<dyn TokenStore>) {
    store.put_login_link("hash", 1000).await.expect("stores");
    assert!(!store.use_login_link("other", 10).await.expect("uses"));
    let tries = (0..8).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.use_login_link("hash", 999).await.expect("uses") })
    });
    let good = futures::future::join_all(tries).await.into_iter().filter(|good| *good.as_ref().expect("joins")).count();
    assert_eq!(good, 1, "of many at the same time one gets in");
    assert!(!store.use_login_link("hash", 999).await.expect("uses"));
}

async fn a_login_link_ends(store: &dyn TokenStore) {
    store.put_login_link("hash", 1000).await.expect("stores");
    assert!(!store.use_login_link("hash", 1000).await.expect("uses"), "its time is over");
    assert!(!store.use_login_link("hash", 10).await.expect("uses"), "and it does not come back");
}
