-- Sign-in on one device that is approved on another: a code on a screen, opened by one phone, decided once.
CREATE TABLE cross_device_requests (
  id text PRIMARY KEY,
  -- Digest of what ties the request to the browser that shows the code, so that no other can finish it.
  binding bytea NOT NULL,
  client_id text NOT NULL,
  -- The two digits that this browser shows and the person types on the phone.
  number integer NOT NULL,
  -- Where the request comes from, encrypted.
  place bytea NOT NULL,
  -- Digest of what the phone holds that has opened the code.
  handle bytea UNIQUE,
  -- Who was asked.
  account_id text REFERENCES accounts (id),
  -- What they had shown on the phone when they approved, and when: seconds by method.
  factors jsonb,
  state text NOT NULL CHECK (state IN ('waiting', 'opened', 'approved', 'refused', 'mismatched', 'used')),
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX cross_device_requests_by_binding ON cross_device_requests (binding);
CREATE INDEX cross_device_requests_by_expiry ON cross_device_requests (expires_at);
