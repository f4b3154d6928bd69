-- Requests to the API that came with an Idempotency-Key, and how they were answered. Of the request and the key there is only a keyed hash.
CREATE TABLE api_requests (
  account_id text NOT NULL REFERENCES accounts (id),
  key_hash bytea NOT NULL,
  request_hash bytea NOT NULL,
  begun_at timestamptz NOT NULL,
  -- Null: it is being worked on, or was cut off.
  answer jsonb,
  PRIMARY KEY (account_id, key_hash)
);
CREATE INDEX api_requests_begun ON api_requests (begun_at);
