-- Devices on which a person has signed in: digests of what their cookies hold. A cookie that was replaced is good until its successor is
-- used. The name (browser and system) is encrypted.
CREATE TABLE known_devices (
  id text PRIMARY KEY,
  account_id text NOT NULL REFERENCES accounts (id),
  digest bytea NOT NULL,
  previous_digest bytea,
  name bytea NOT NULL,
  first_seen_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  UNIQUE (account_id, digest)
);
-- Networks from which a person has signed in: keyed hashes of the account and an address's prefix.
CREATE TABLE known_networks (
  account_id text NOT NULL REFERENCES accounts (id),
  digest bytea NOT NULL,
  first_seen_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, digest)
);
