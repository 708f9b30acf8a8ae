//! Targets of invocations.

use millrace_engine::error::Result;
use millrace_engine::invocations::{TargetFilter, TargetPage, TargetRow};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::json;
use crate::sqlite::SqliteStore;
use crate::sqlite::error::During;

/// So many targets go into one statement: eight values each, of the 32 766 that SQLite takes.
const ROWS_MAX: usize = 500;

/// $1: the invocation; $2: statuses in JSON or NULL; $3: text; $4: only tests.
macro_rules! wanted {
    ($what:literal, $more:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM invocation_targets WHERE invocation_id = $1
                AND ($2 IS NULL OR status IN (SELECT value FROM json_each($2)))
                AND ($3 = '' OR instr(lower(label), $3) > 0)
                AND (NOT $4 OR has_test)",
            $more
        )
    };
}
const COUNT: &str = wanted!("COUNT(*)", "");
const PAGE: &str = wanted!(
    "label, configuration, aspect, rank, status, has_test, document",
    " AND (rank, label, configuration, aspect) > ($5, $6, $7, $8)
    ORDER BY rank, label, configuration, aspect LIMIT $9"
);
/// Before all ranks.
const BEGIN: i32 = -1;

pub async fn put(connection: &mut SqliteConnection, id: &str, targets: Vec<TargetRow>) -> Result<()> {
    for targets in targets.chunks(ROWS_MAX) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO invocation_targets (invocation_id, label, configuration, aspect, rank, status, has_test, document) ",
        );
        insert.push_values(targets, |mut row, target| {
            row.push_bind(id)
                .push_bind(&target.label)
                .push_bind(&target.configuration)
                .push_bind(&target.aspect)
                .push_bind(target.rank)
                .push_bind(target.status)
                .push_bind(target.has_test)
                .push_bind(&target.document[..]);
        });
        insert.push(
            " ON CONFLICT (invocation_id, label, configuration, aspect) DO UPDATE SET rank = excluded.rank,
                status = excluded.status, has_test = excluded.has_test, document = excluded.document",
        );
        insert.build().execute(&mut *connection).await.during("store targets")?;
    }
    Ok(())
}

pub async fn page(store: &SqliteStore, id: &str, filter: TargetFilter) -> Result<TargetPage> {
    let (statuses, text) = (json(&filter.statuses)?, filter.text.to_ascii_lowercase());
    let count = sqlx::query(COUNT).bind(id).bind(&statuses).bind(&text).bind(filter.tests_only);
    let total = count.fetch_one(store.readers()).await.during("count targets")?.get(0);
    let query = sqlx::query(PAGE).bind(id).bind(statuses).bind(text).bind(filter.tests_only);
    let query = match filter.after {
        Some(after) => query.bind(after.rank).bind(after.label).bind(after.configuration).bind(after.aspect),
        None => query.bind(BEGIN).bind("").bind("").bind(""),
    };
    let rows = query.bind(filter.limit).fetch_all(store.readers()).await.during("list targets")?;
    let target = |row: &sqlx::sqlite::SqliteRow| TargetRow {
        label: row.get(0),
        configuration: row.get(1),
        aspect: row.get(2),
        rank: row.get(3),
        status: row.get(4),
        has_test: row.get(5),
        document: row.get(6),
    };
    Ok(TargetPage { targets: rows.iter().map(target).collect(), total })
}
