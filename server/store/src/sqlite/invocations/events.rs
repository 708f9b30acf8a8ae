//! Events and the streams they come in.

use millrace_engine::error::Result;
use millrace_engine::invocations::{EventPage, EventPosition, InvocationChange, StoredStream, StreamKey};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use crate::sqlite::SqliteStore;
use crate::sqlite::error::During;

/// So many events go into one statement: six values each, of the 32 766 that SQLite takes.
const ROWS_MAX: usize = 500;

const POSITION: &str = "SELECT last_sequence, finished FROM build_streams
    WHERE instance = $1 AND build_id = $2 AND invocation_id = $3 AND component = $4";
const MOVE: &str = "INSERT INTO build_streams (instance, build_id, invocation_id, component, last_sequence, finished,
        updated_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (instance, build_id, invocation_id, component) DO UPDATE SET
        last_sequence = excluded.last_sequence, finished = excluded.finished, updated_ms = excluded.updated_ms";
const PAGE: &str = "SELECT invocation_id, component, sequence, event FROM build_events
    WHERE instance = $1 AND build_id = $2 AND invocation_id IN ('', $3)
        AND (invocation_id, component, sequence) > ($4, $5, $6)
    ORDER BY invocation_id, component, sequence LIMIT $7";

pub async fn position(connection: &mut SqliteConnection, stream: &StreamKey) -> Result<StoredStream> {
    let row = sqlx::query(POSITION)
        .bind(stream.instance.as_str())
        .bind(&stream.build_id)
        .bind(&stream.invocation_id)
        .bind(stream.component)
        .fetch_optional(connection)
        .await
        .during("read a stream of build events")?;
    Ok(row.map_or_else(StoredStream::default, |row| StoredStream { last_sequence: row.get(0), finished: row.get(1) }))
}

pub async fn put(connection: &mut SqliteConnection, change: &InvocationChange) -> Result<()> {
    let stream = &change.stream;
    for events in change.events.chunks(ROWS_MAX) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO build_events (instance, build_id, invocation_id, component, sequence, event) ",
        );
        insert.push_values(events, |mut row, event| {
            row.push_bind(stream.instance.as_str())
                .push_bind(&stream.build_id)
                .push_bind(&stream.invocation_id)
                .push_bind(stream.component)
                .push_bind(event.sequence)
                .push_bind(&event.event[..]);
        });
        insert.build().execute(&mut *connection).await.during("store build events")?;
    }
    sqlx::query(MOVE)
        .bind(stream.instance.as_str())
        .bind(&stream.build_id)
        .bind(&stream.invocation_id)
        .bind(stream.component)
        .bind(change.position.last_sequence)
        .bind(change.position.finished)
        .bind(change.now_ms)
        .execute(connection)
        .await
        .during("store build events")
        .map(|_| ())
}

/// `of`: instance, build and invocation.
pub async fn page(
    store: &SqliteStore,
    [instance, build_id, id]: [&str; 3],
    after: EventPosition,
    limit: u32,
    max_bytes: usize,
) -> Result<EventPage> {
    use futures::TryStreamExt;
    let mut rows = sqlx::query(PAGE)
        .bind(instance)
        .bind(build_id)
        .bind(id)
        .bind(after.invocation_id)
        .bind(after.component)
        .bind(after.sequence)
        .bind(limit)
        .fetch(store.readers());
    let (mut page, mut bytes) = (EventPage::new(), 0);
    while let Some(row) = rows.try_next().await.during("read build events")? {
        let event: Vec<u8> = row.get(3);
        bytes += event.len();
        if !page.is_empty() && bytes > max_bytes {
            break;
        }
        let place = EventPosition { invocation_id: row.get(0), component: row.get(1), sequence: row.get(2) };
        page.push((place, event));
    }
    Ok(page)
}
