-- What has happened and is not yet in the logs of events: a row for each transaction that tells something, written with it.
CREATE TABLE event_outbox (
    -- One more than the last one's, which is never removed: ids of events begin with this number and are not given twice.
    -- (AUTOINCREMENT writes a page more in every transaction.)
    id     INTEGER PRIMARY KEY,
    -- How many events it has.
    events INTEGER NOT NULL,
    -- How many it stands for: more, when it is what is told of events that were lost.
    stands_for INTEGER NOT NULL,
    -- Two lines for each: its project, and its JSON without the id.
    body   TEXT NOT NULL
) STRICT;

-- Whether it was last told that the runner is there.
ALTER TABLE runners ADD COLUMN told_online INTEGER NOT NULL DEFAULT 0;
