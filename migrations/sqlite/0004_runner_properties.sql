-- What runners offer to actions of remote execution: a JSON array of names and values. And whether they run any.
ALTER TABLE runners ADD COLUMN properties TEXT NOT NULL DEFAULT '[]';
ALTER TABLE runners ADD COLUMN runs_actions INTEGER NOT NULL DEFAULT 0;
