-- How the remote cache is used: counts by instance and minute (minutes since 1970).
CREATE TABLE cache_activity (
    instance       TEXT NOT NULL,
    minute         INTEGER NOT NULL,
    action_hits    INTEGER NOT NULL,
    action_misses  INTEGER NOT NULL,
    action_updates INTEGER NOT NULL,
    blobs_present  INTEGER NOT NULL,
    blobs_missing  INTEGER NOT NULL,
    bytes_read     INTEGER NOT NULL,
    bytes_written  INTEGER NOT NULL,
    saved_ms       INTEGER NOT NULL,
    key_hits       INTEGER NOT NULL,
    key_misses     INTEGER NOT NULL,
    PRIMARY KEY (instance, minute)
) STRICT, WITHOUT ROWID;

-- For all instances together, and to forget what is old.
CREATE INDEX cache_activity_by_minute ON cache_activity (minute);

-- The instances of which there are counts: they are listed without a look at every minute.
CREATE TABLE cache_instances (
    name        TEXT PRIMARY KEY,
    last_minute INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
