-- What was done to find out who the holder of an account is: kept for ever, refusals included. It names nobody.
CREATE TABLE proofing_evidence (
  id text PRIMARY KEY,
  sequence bigint GENERATED ALWAYS AS IDENTITY,
  account_id text NOT NULL REFERENCES accounts (id),
  authority text NOT NULL,
  trust_framework text NOT NULL,
  -- Whether the authority's people are invented.
  fictional boolean NOT NULL,
  method text NOT NULL CHECK (method IN ('comparison', 'live-check', 'upstream', 'counter', 'register-event')),
  document_kind text,
  -- Level of identity proofing that was reached; 0 where nothing was.
  level smallint NOT NULL CHECK (level BETWEEN 0 AND 4),
  -- `taken`: confirmed, for a document that another account holds. `conflict`: a register gave a number that another account holds.
  result text NOT NULL CHECK (result IN ('confirmed', 'refused', 'unavailable', 'taken', 'conflict', 'withdrawn')),
  -- The authority's own name for it.
  reference text,
  at timestamptz NOT NULL,
  -- Since when it proves nothing any more.
  superseded_at timestamptz
);
CREATE INDEX proofing_evidence_by_account ON proofing_evidence (account_id, sequence);
CREATE FUNCTION keep_evidence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF OLD.superseded_at IS NULL AND (to_jsonb(NEW) - 'superseded_at') = (to_jsonb(OLD) - 'superseded_at') THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'proofing_evidence is kept';
END $$;
CREATE TRIGGER proofing_evidence_kept BEFORE UPDATE OR DELETE ON proofing_evidence
  FOR EACH ROW EXECUTE FUNCTION keep_evidence();

-- Who the holder of an account was found to be. One account a document, one document an account.
CREATE TABLE verified_documents (
  account_id text PRIMARY KEY REFERENCES accounts (id),
  number_index bytea NOT NULL CONSTRAINT verified_documents_number UNIQUE,
  kind text NOT NULL,
  -- Encrypted: number, issuing country, name.
  record bytea NOT NULL,
  evidence_id text NOT NULL REFERENCES proofing_evidence (id) DEFERRABLE INITIALLY DEFERRED,
  verified_at timestamptz NOT NULL
);
CREATE TRIGGER verified_documents_tell AFTER INSERT OR UPDATE OR DELETE ON verified_documents
  FOR EACH ROW EXECUTE FUNCTION tell_identifier_changed();

-- Live checks that are going on elsewhere. The claim is encrypted.
CREATE TABLE proofing_attempts (
  id text PRIMARY KEY,
  account_id text NOT NULL REFERENCES accounts (id),
  authority text NOT NULL,
  reference text NOT NULL,
  claim bytea NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX proofing_attempts_by_account ON proofing_attempts (account_id);

-- Two accounts of one person, until both were shown to be theirs.
CREATE TABLE account_links (
  id text PRIMARY KEY,
  -- The account that was proofed now, and that will be closed.
  account_id text NOT NULL REFERENCES accounts (id),
  -- The account that holds the document, and that stays.
  holder_id text NOT NULL REFERENCES accounts (id),
  number_index bytea NOT NULL,
  evidence_id text NOT NULL REFERENCES proofing_evidence (id),
  state text NOT NULL CHECK (state IN ('waiting', 'linked')),
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX account_links_by_account ON account_links (account_id);
ALTER TABLE accounts ADD COLUMN merged_into text REFERENCES accounts (id);

-- Which person of an upstream identity provider an account belongs to: its `sub` is found by a keyed hash.
CREATE TABLE upstream_links (
  id text PRIMARY KEY,
  issuer text NOT NULL,
  subject_index bytea NOT NULL,
  -- Encrypted.
  subject bytea NOT NULL,
  account_id text NOT NULL REFERENCES accounts (id),
  -- Whether the provider has ever said that the person showed it two factors.
  two_factors boolean NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (issuer, subject_index)
);
CREATE INDEX upstream_links_by_account ON upstream_links (account_id);
CREATE TRIGGER upstream_links_tell AFTER INSERT OR UPDATE OF account_id, two_factors OR DELETE ON upstream_links
  FOR EACH ROW EXECUTE FUNCTION tell_identifier_changed();

-- Events that registers reported (RFC 8417), each once. `settled_at`: sessions have been ended and portals told.
CREATE TABLE register_events (
  issuer text NOT NULL,
  jti text NOT NULL,
  type text NOT NULL,
  account_id text REFERENCES accounts (id),
  received_at timestamptz NOT NULL,
  settled_at timestamptz,
  PRIMARY KEY (issuer, jti)
);

-- The key of the numbers that portals see in place of ID numbers: made once, kept for ever, encrypted.
CREATE TABLE relation_keys (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  key bytea NOT NULL
);

-- Live checks of invented people.
CREATE TABLE fictional_live_checks (
  reference_digest bytea PRIMARY KEY,
  return_uri text NOT NULL,
  outcome text CHECK (outcome IN ('confirmed', 'refused')),
  expires_at timestamptz NOT NULL
);

-- Where a person says that they live, encrypted. Nobody has checked it.
CREATE TABLE account_addresses (
  account_id text PRIMARY KEY REFERENCES accounts (id),
  value bytea NOT NULL,
  updated_at timestamptz NOT NULL
);

-- What operators allow a portal beyond its scopes: ID numbers, verified claims.
ALTER TABLE portals ADD COLUMN entitlements jsonb NOT NULL DEFAULT '[]';
