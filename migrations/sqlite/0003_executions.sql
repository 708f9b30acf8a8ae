-- Remote execution: what is queued or held. Read whole when the server starts; while it runs, its memory is ahead of it.
-- `spec` never changes, `standing` does: both JSON.
CREATE TABLE executions (
    id       BLOB PRIMARY KEY NOT NULL,
    spec     TEXT NOT NULL,
    standing TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What has ended. Its ids are in the order in which the executions were made.
CREATE TABLE finished_executions (
    id            BLOB NOT NULL,
    instance      TEXT NOT NULL,
    action_hash   TEXT NOT NULL,
    invocation_id TEXT NOT NULL,
    finished_ms   INTEGER NOT NULL,
    status_code   INTEGER NOT NULL,
    spec          TEXT NOT NULL,
    standing      TEXT NOT NULL,
    response      BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX finished_executions_by_id ON finished_executions (id);
CREATE INDEX finished_executions_by_action ON finished_executions (action_hash, id);
CREATE INDEX finished_executions_by_invocation ON finished_executions (invocation_id, id) WHERE invocation_id <> '';
-- To forget what is old.
CREATE INDEX finished_executions_by_age ON finished_executions (finished_ms, id);
