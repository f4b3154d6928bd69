-- Data keys under which records may lie. No key is here: an id is a keyed hash of one.
CREATE TABLE data_keys (
  id text PRIMARY KEY,
  -- When a process last said that it encrypts with it.
  last_current_at timestamptz NOT NULL
);
-- The processes that run, and what they have.
CREATE TABLE data_key_processes (
  process text PRIMARY KEY,
  current_key text NOT NULL,
  known_keys jsonb NOT NULL,
  seen_at timestamptz NOT NULL
);
-- How far the records of each holding are brought under one key.
CREATE TABLE data_key_passes (
  holding text PRIMARY KEY,
  key_id text NOT NULL,
  -- Where the next batch begins, in the holding's own words; null: at the beginning.
  position text,
  records bigint NOT NULL,
  -- How many of them lie under another key.
  records_left bigint NOT NULL,
  started_at timestamptz NOT NULL,
  finished_at timestamptz
);
-- The one process that does the work.
CREATE TABLE data_key_worker (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  process text NOT NULL,
  until timestamptz NOT NULL
);
INSERT INTO data_key_worker (process, until) VALUES ('', 'epoch');

-- Encrypting a record anew changes nothing about the account that it belongs to: nobody is told.
CREATE OR REPLACE FUNCTION tell_identifier_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('yinxin.encrypting_anew', true) IS DISTINCT FROM 'on' THEN
    PERFORM pg_notify('accounts_changed', COALESCE(NEW.account_id, OLD.account_id));
  END IF;
  RETURN NULL;
END $$;
