-- Back-channel logout calls that are still to be made, or were given up.
CREATE TABLE logout_outbox (
  id text PRIMARY KEY,
  client_id text NOT NULL,
  account_id text NOT NULL,
  sid text,
  state text NOT NULL CHECK (state IN ('waiting', 'dead')),
  attempts integer NOT NULL,
  next_attempt_at timestamptz NOT NULL,
  last_problem text,
  created_at timestamptz NOT NULL
);
CREATE INDEX logout_outbox_due ON logout_outbox (next_attempt_at) WHERE state = 'waiting';
