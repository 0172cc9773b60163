-- What a later release might add: it exists in the program "next" of the fault
-- tests only.

-- +goose Up
ALTER TABLE cases ADD COLUMN later TEXT;
ALTER TABLE jobs ADD COLUMN later BIGINT;
CREATE INDEX jobs_later ON jobs (later) WHERE later IS NOT NULL;
CREATE TABLE later (
  id TEXT NOT NULL PRIMARY KEY
);

-- +goose Down
DROP TABLE later;
