-- Builds that are told of by events. The documents are encoded millrace.v1 messages; statuses are their numbers.
CREATE TABLE invocations (
    id           TEXT PRIMARY KEY,
    instance     TEXT NOT NULL,
    build_id     TEXT NOT NULL,
    status       INTEGER NOT NULL,
    complete     INTEGER NOT NULL,
    created_ms   INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL,
    timeout_ms   INTEGER NOT NULL,
    user_name    TEXT NOT NULL,
    search       TEXT NOT NULL,
    events_bytes INTEGER NOT NULL,
    summary      BLOB NOT NULL,
    document     BLOB NOT NULL
) STRICT;

-- Lists are newest first, of one project or of all.
CREATE INDEX invocations_by_time ON invocations (created_ms, id);
CREATE INDEX invocations_by_instance ON invocations (instance, created_ms, id);
-- The attempts of a build.
CREATE INDEX invocations_by_build ON invocations (instance, build_id);
-- Those whose publishers may have gone.
CREATE INDEX invocations_open ON invocations (updated_ms) WHERE complete = 0;

-- How far each stream of events has come. Without an invocation: what is said of a build as such.
CREATE TABLE build_streams (
    instance      TEXT NOT NULL,
    build_id      TEXT NOT NULL,
    invocation_id TEXT NOT NULL,
    component     INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    finished      INTEGER NOT NULL,
    updated_ms    INTEGER NOT NULL,
    PRIMARY KEY (instance, build_id, invocation_id, component)
) STRICT, WITHOUT ROWID;

-- The events as they came: encoded google.devtools.build.v1.BuildEvent messages. A table with row ids: blobs of this
-- size do not belong into the inner pages of a tree.
CREATE TABLE build_events (
    instance      TEXT NOT NULL,
    build_id      TEXT NOT NULL,
    invocation_id TEXT NOT NULL,
    component     INTEGER NOT NULL,
    sequence      INTEGER NOT NULL,
    event         BLOB NOT NULL,
    PRIMARY KEY (instance, build_id, invocation_id, component, sequence)
) STRICT;

-- The targets of invocations. rank 0 has a failure.
CREATE TABLE invocation_targets (
    invocation_id TEXT NOT NULL,
    label         TEXT NOT NULL,
    configuration TEXT NOT NULL,
    aspect        TEXT NOT NULL,
    rank          INTEGER NOT NULL,
    status        INTEGER NOT NULL,
    has_test      INTEGER NOT NULL,
    document      BLOB NOT NULL,
    PRIMARY KEY (invocation_id, label, configuration, aspect)
) STRICT;

CREATE INDEX invocation_targets_in_order
    ON invocation_targets (invocation_id, rank, label, configuration, aspect);
