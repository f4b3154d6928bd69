-- Which pepper a hash is keyed with (null: one from before peppers had ids), and whether the password is long enough to be the only factor.
ALTER TABLE password_credentials
  ADD COLUMN pepper text,
  ADD COLUMN stands_alone boolean NOT NULL DEFAULT true;
-- Hashes of passwords that may not come again, where the policy asks for it.
CREATE TABLE password_history (
  account_id text NOT NULL REFERENCES accounts (id),
  hash text NOT NULL,
  pepper text,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, hash)
);
CREATE INDEX password_history_by_age ON password_history (account_id, created_at DESC);
CREATE TRIGGER password_credentials_tell AFTER INSERT OR UPDATE OF stands_alone, created_at OR DELETE ON password_credentials
  FOR EACH ROW EXECUTE FUNCTION tell_identifier_changed();
