-- Keys of every type, in the database or in a token, with their whole life.
ALTER TABLE custody_keys
  ADD COLUMN driver text NOT NULL DEFAULT 'envelope' CHECK (driver IN ('envelope', 'pkcs11')),
  -- The version that this one took the place of.
  ADD COLUMN predecessor text REFERENCES custody_keys (id),
  ADD COLUMN state_since timestamptz,
  -- Kept when the key is destroyed afterwards: what it signed stays doubtful from then on.
  ADD COLUMN compromised_at timestamptz,
  ALTER COLUMN data_key_version DROP NOT NULL;
UPDATE custody_keys SET state_since = created_at;
ALTER TABLE custody_keys ALTER COLUMN state_since SET NOT NULL;
CREATE INDEX custody_data_keys_by_wrapping_key ON custody_data_keys (wrapping_key);

-- Every process that has a key open is told when it may sign no more.
CREATE FUNCTION tell_custody_key_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('custody_keys', COALESCE(NEW.id, OLD.id));
  RETURN NULL;
END $$;
CREATE TRIGGER custody_keys_changed AFTER UPDATE OR DELETE ON custody_keys
  FOR EACH ROW EXECUTE FUNCTION tell_custody_key_changed();
