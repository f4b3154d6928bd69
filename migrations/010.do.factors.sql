-- What leads to an account, and whether it was shown to be the person's own.
ALTER TABLE account_identifiers DROP CONSTRAINT account_identifiers_kind_check;
ALTER TABLE account_identifiers
  ADD CONSTRAINT account_identifiers_kind_check CHECK (kind IN ('phone', 'email', 'username')),
  ADD COLUMN verified_at timestamptz;

-- One-time passwords by time (RFC 6238). The secret is encrypted; a step is good once.
CREATE TABLE totp_credentials (
  account_id text PRIMARY KEY REFERENCES accounts (id),
  secret bytea NOT NULL,
  -- The time step of the newest code that was accepted.
  last_step bigint NOT NULL,
  created_at timestamptz NOT NULL
);
-- Passkeys (Web Authentication Level 3). The name is the person's own word for it, encrypted.
CREATE TABLE passkeys (
  credential_id bytea PRIMARY KEY,
  account_id text NOT NULL REFERENCES accounts (id),
  public_key bytea NOT NULL,
  sign_count bigint NOT NULL,
  -- Whether the key stays in one authenticator: one that may be backed up is synced between devices.
  device_bound boolean NOT NULL,
  transports jsonb NOT NULL,
  name bytea NOT NULL,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz
);
CREATE INDEX passkeys_by_account ON passkeys (account_id);
-- Recovery codes: digests of codes that are good once each.
CREATE TABLE recovery_codes (
  account_id text NOT NULL REFERENCES accounts (id),
  digest bytea NOT NULL,
  created_at timestamptz NOT NULL,
  used_at timestamptz,
  PRIMARY KEY (account_id, digest)
);
CREATE TRIGGER totp_credentials_tell AFTER INSERT OR DELETE ON totp_credentials
  FOR EACH ROW EXECUTE FUNCTION tell_identifier_changed();
CREATE TRIGGER passkeys_tell AFTER INSERT OR DELETE ON passkeys
  FOR EACH ROW EXECUTE FUNCTION tell_identifier_changed();
CREATE TRIGGER recovery_codes_tell AFTER INSERT OR UPDATE OR DELETE ON recovery_codes
  FOR EACH ROW EXECUTE FUNCTION tell_identifier_changed();
