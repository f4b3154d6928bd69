-- Messages to people that are still to be sent, or were given up. Address and text are encrypted.
CREATE TABLE message_outbox (
  id text PRIMARY KEY,
  channel text NOT NULL CHECK (channel IN ('sms', 'email')),
  kind text NOT NULL,
  payload bytea NOT NULL,
  state text NOT NULL CHECK (state IN ('waiting', 'dead')),
  attempts integer NOT NULL,
  next_attempt_at timestamptz NOT NULL,
  last_problem text,
  created_at timestamptz NOT NULL
);
CREATE INDEX message_outbox_due ON message_outbox (next_attempt_at) WHERE state = 'waiting';

-- One-time codes: keyed digests. The slot is a keyed digest of what a code is for and of the browser that asked for it.
CREATE TABLE one_time_codes (
  slot bytea PRIMARY KEY,
  digest bytea NOT NULL,
  -- Channel, address and account, encrypted.
  recipient bytea NOT NULL,
  attempts integer NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX one_time_codes_by_expiry ON one_time_codes (expires_at);
-- How many codes went to an address since when, and when the next may. The address is a keyed digest.
CREATE TABLE one_time_code_pauses (
  address bytea NOT NULL,
  audience text NOT NULL CHECK (audience IN ('stranger', 'holder')),
  sent integer NOT NULL,
  since timestamptz NOT NULL,
  next_at timestamptz NOT NULL,
  PRIMARY KEY (address, audience)
);
CREATE INDEX one_time_code_pauses_by_age ON one_time_code_pauses (since);
