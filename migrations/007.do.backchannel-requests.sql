-- Requests that portals made without a browser (CIBA), for the person to approve on a device of their own.
CREATE TABLE backchannel_requests (
  id text PRIMARY KEY,
  account_id text NOT NULL REFERENCES accounts (id),
  client_id text NOT NULL,
  -- Encrypted: whoever reads it could redeem the tokens.
  auth_req_id bytea NOT NULL,
  state text NOT NULL CHECK (state IN ('pending', 'approved', 'refused')),
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX backchannel_requests_pending ON backchannel_requests (account_id, expires_at) WHERE state = 'pending';
