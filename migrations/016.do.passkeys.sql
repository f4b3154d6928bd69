-- Passkeys: the number by which authenticators know an account (Web Authentication Level 3, section 14.6.1), made with its first passkey.
ALTER TABLE accounts ADD COLUMN user_handle bytea UNIQUE;
ALTER TABLE passkeys
  -- Whether a trusted maker has certified that the key is kept in hardware.
  ADD COLUMN attested boolean NOT NULL DEFAULT false,
  -- Since when the key signs nobody in, because a copy of it seems to be about.
  ADD COLUMN suspended_at timestamptz;
CREATE TRIGGER passkeys_tell_suspended AFTER UPDATE OF suspended_at ON passkeys
  FOR EACH ROW EXECUTE FUNCTION tell_identifier_changed();
