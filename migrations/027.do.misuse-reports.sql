-- What people report of their accounts: a sign-in, a device or a portal that was not theirs. Each thing is reported once.
CREATE TABLE misuse_reports (
  id text PRIMARY KEY,
  account_id text NOT NULL REFERENCES accounts (id),
  kind text NOT NULL CHECK (kind IN ('sign-in', 'device', 'portal')),
  -- Sequence number of the audit entry, id of the device, or client id of the portal.
  about text NOT NULL,
  state text NOT NULL CHECK (state IN ('open', 'settled')),
  reported_at timestamptz NOT NULL,
  settled_at timestamptz,
  UNIQUE (account_id, kind, about)
);
CREATE INDEX misuse_reports_open ON misuse_reports (id) WHERE state = 'open';
