//! What the reaper asks of the log room beyond what writers and readers do. All of it keeps to a log's turn.

use std::sync::PoisonError;

use crate::logs::live::Known;
use crate::logs::{LogAppend, LogError, LogHead, LogId, LogRoom};

impl LogRoom {
    /// Whether somebody writes or follows the log right now.
    pub fn is_in_use(&self, id: &LogId) -> bool {
        self.inner.lives.is_live(id)
    }

    /// How many bytes all that is kept of the log takes, and whether it is kept compressed.
    pub async fn stored(&self, id: &LogId) -> Result<(u64, bool), LogError> {
        self.inner.store.stored(id).await
    }

    /// Takes lines from the front, those before this line at most, as far as the store can.
    pub async fn trim(&self, id: &LogId, before_line: u64) -> Result<LogHead, LogError> {
        let (inner, live) = (self.inner.clone(), self.inner.lives.get(id));
        let task = tokio::spawn(async move {
            let _turn = live.turn().await;
            let head = match inner.store.trim(&live.id, before_line).await {
                Ok(head) => head,
                Err(error) => {
                    live.forget();
                    return Err(error);
                }
            };
            live.known.send_replace(Known::Head(head));
            // What is hot may be gone from the store: it is read from there if it is not.
            live.hot.lock().unwrap_or_else(PoisonError::into_inner).clear();
            Ok(head)
        });
        task.await.unwrap_or_else(|fault| Err(LogError::Io(format!("trimming log {id} failed: {fault}"))))
    }

    /// Ends a log that still has so many lines, with a last line of the room's own; whether it did.
    pub async fn end_quiet(&self, id: &LogId, at_lines: u64, words: &str) -> Result<bool, LogError> {
        let (inner, live, words) = (self.inner.clone(), self.inner.lives.get(id), words.to_owned());
        let task = tokio::spawn(async move {
            let _turn = live.turn().await;
            match inner.known_head(&live).await? {
                Some(head) if !head.complete && head.lines == at_lines => {
                    let append = LogAppend::end(head.lines).with_notice(&head, &words, inner.clock.now_ms());
                    inner.write(&live, head, append).await.map(|_| true)
                }
                _ => Ok(false),
            }
        });
        task.await.unwrap_or_else(|fault| Err(LogError::Io(format!("ending log {id} failed: {fault}"))))
    }
}
