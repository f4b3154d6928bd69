-- Processes remember accounts; whoever changes one, by whatever way, tells all of them.
CREATE FUNCTION tell_account_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('accounts_changed', NEW.id);
  RETURN NULL;
END $$;
CREATE TRIGGER accounts_tell AFTER UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION tell_account_changed();
CREATE FUNCTION tell_identifier_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('accounts_changed', COALESCE(NEW.account_id, OLD.account_id));
  RETURN NULL;
END $$;
CREATE TRIGGER account_identifiers_tell AFTER INSERT OR UPDATE OR DELETE ON account_identifiers
  FOR EACH ROW EXECUTE FUNCTION tell_identifier_changed();
