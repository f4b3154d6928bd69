-- The language in which the holder is told what happens to the account.
ALTER TABLE accounts ADD COLUMN language text;

-- Recoveries of people who have lost their second factor: they wait, so that the holder can stop what somebody else began.
CREATE TABLE recoveries (
  id text PRIMARY KEY,
  account_id text NOT NULL REFERENCES accounts (id),
  state text NOT NULL CHECK (state IN ('waiting', 'stopped', 'completed', 'expired')),
  -- Digest of the word in the notices by which it is stopped.
  stop_digest bytea NOT NULL,
  started_at timestamptz NOT NULL,
  ready_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX recoveries_waiting ON recoveries (account_id) WHERE state = 'waiting';
CREATE INDEX recoveries_by_word ON recoveries (stop_digest) WHERE state = 'waiting';
