-- Acts that need two persons: what was asked for, word by word, and who agreed.
CREATE TABLE dual_control_acts (
  id text PRIMARY KEY,
  act text NOT NULL,
  -- Whose matter it is: a unit, an organisation, or `provider`.
  scope text NOT NULL,
  -- Canonical JSON (RFC 8785) of the act, and its SHA-256: what is approved is what is done.
  canonical text NOT NULL,
  digest bytea NOT NULL,
  state text NOT NULL CHECK (state IN ('requested', 'executed', 'refused', 'withdrawn')),
  approvals_needed integer NOT NULL CHECK (approvals_needed > 0),
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  decided_by text,
  decided_at timestamptz
);
CREATE INDEX dual_control_acts_by_scope ON dual_control_acts (scope, requested_at DESC);
CREATE TABLE dual_control_approvals (
  act_id text NOT NULL REFERENCES dual_control_acts (id),
  approver text NOT NULL,
  -- Of what the approver saw.
  digest bytea NOT NULL,
  approved_at timestamptz NOT NULL,
  PRIMARY KEY (act_id, approver)
);
