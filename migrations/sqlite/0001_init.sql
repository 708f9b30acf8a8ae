-- The state of a Millrace server. Documents are JSON; what is looked for has a column of its own.
-- Times are Unix milliseconds. Flags are 0 or 1.

-- The last run number of each project.
CREATE TABLE projects (
    name        TEXT PRIMARY KEY,
    last_number INTEGER NOT NULL
) STRICT;

CREATE TABLE runs (
    id         TEXT PRIMARY KEY,
    project    TEXT NOT NULL,
    number     INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    state      TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    -- The run without its jobs and without the workflow's text, which never changes.
    head       TEXT NOT NULL,
    workflow   TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX runs_number ON runs (number, project, attempt);
CREATE UNIQUE INDEX runs_request ON runs (project, request_id) WHERE request_id <> '';
-- One index for each way to list: all, by project, by state, by both.
CREATE INDEX runs_newest ON runs (created_ms, id);
CREATE INDEX runs_by_project ON runs (project, created_ms, id);
CREATE INDEX runs_by_state ON runs (state, created_ms, id);
CREATE INDEX runs_by_project_and_state ON runs (project, state, created_ms, id);

CREATE TABLE jobs (
    run_id    TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    idx       INTEGER NOT NULL,
    stage     INTEGER NOT NULL,
    stage_row INTEGER NOT NULL,
    state     TEXT NOT NULL,
    doc       TEXT NOT NULL,
    PRIMARY KEY (run_id, idx)
) STRICT;

CREATE UNIQUE INDEX jobs_address ON jobs (run_id, stage, stage_row);

-- The queue. A row is there only while its job is queued or in a runner's hands; the job's own row is the truth and
-- moves in the same transaction.
CREATE TABLE tasks (
    run_id      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    idx         INTEGER NOT NULL,
    -- queued, leased
    state       TEXT NOT NULL CHECK (state IN ('queued', 'leased')),
    -- Sorted, lower-case, without repetitions: a JSON array.
    label_set   TEXT NOT NULL,
    priority    INTEGER NOT NULL,
    queued_ms   INTEGER NOT NULL,
    -- From here on: of leased tasks.
    runner_uuid TEXT,
    request_id  TEXT,
    epoch       INTEGER,
    started_ms  INTEGER,
    deadline_ms INTEGER,
    run_number  INTEGER NOT NULL,
    job_key     TEXT NOT NULL,
    PRIMARY KEY (run_id, idx)
) STRICT, WITHOUT ROWID;

-- Partial, so that each holds only what it is asked for: the cost of a claim depends on the number of label sets and
-- not on the length of the queue.
CREATE INDEX tasks_queued ON tasks (label_set, priority DESC, queued_ms, run_id, idx) WHERE state = 'queued';
CREATE INDEX tasks_deadline ON tasks (deadline_ms) WHERE state = 'leased';
CREATE INDEX tasks_holder ON tasks (runner_uuid, request_id) WHERE state = 'leased';

CREATE TABLE runners (
    -- AUTOINCREMENT: the number of a removed runner is not given again.
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid          TEXT NOT NULL UNIQUE,
    token_hash    TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    version       TEXT NOT NULL,
    -- A JSON array.
    labels        TEXT NOT NULL,
    os            TEXT NOT NULL,
    arch          TEXT NOT NULL,
    slots         INTEGER NOT NULL,
    draining      INTEGER NOT NULL,
    ephemeral     INTEGER NOT NULL,
    registered_ms INTEGER NOT NULL,
    last_seen_ms  INTEGER NOT NULL
) STRICT;

-- A row goes away when the token is used up.
CREATE TABLE registration_tokens (
    hash       TEXT PRIMARY KEY,
    reusable   INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE api_tokens (
    id         TEXT PRIMARY KEY,
    label      TEXT NOT NULL,
    role       TEXT NOT NULL,
    project    TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    revoked    INTEGER NOT NULL
) STRICT;

CREATE TABLE login_links (
    hash       TEXT PRIMARY KEY,
    expires_ms INTEGER NOT NULL
) STRICT;
