-- Audit: append-only and hash-chained. The one row of audit_head is the lock that orders appends.
CREATE TABLE audit_events (
  seq bigint PRIMARY KEY,
  at timestamptz NOT NULL,
  type text NOT NULL,
  actor text NOT NULL,
  subject text NOT NULL,
  detail jsonb NOT NULL,
  previous bytea NOT NULL,
  hash bytea NOT NULL UNIQUE
);
CREATE INDEX audit_events_by_subject ON audit_events (subject, seq);
CREATE TABLE audit_head (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  seq bigint NOT NULL,
  hash bytea NOT NULL
);
INSERT INTO audit_head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'audit_events is append-only';
END $$;
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Custody: one data key per owner (a unit, or the provider itself), wrapped by a key that is not in this database.
CREATE TABLE custody_data_keys (
  owner text NOT NULL,
  version integer NOT NULL,
  wrapping_key text NOT NULL,
  wrapped bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (owner, version)
);
CREATE TABLE custody_keys (
  id text PRIMARY KEY,
  owner text NOT NULL,
  purpose text NOT NULL,
  version integer NOT NULL,
  key_type text NOT NULL,
  state text NOT NULL CHECK (state IN ('pre-active', 'active', 'suspended', 'deactivated', 'compromised', 'destroyed')),
  public_key bytea NOT NULL,
  data_key_version integer NOT NULL,
  private_key bytea,
  created_at timestamptz NOT NULL,
  UNIQUE (owner, purpose, version),
  FOREIGN KEY (owner, data_key_version) REFERENCES custody_data_keys (owner, version)
);

-- Identity: whatever names a person is encrypted; the blind index finds it.
CREATE TABLE accounts (
  id text PRIMARY KEY,
  state text NOT NULL CHECK (state IN ('active', 'locked', 'closed')),
  created_at timestamptz NOT NULL
);
CREATE TABLE account_identifiers (
  kind text NOT NULL CHECK (kind IN ('phone', 'username')),
  blind_index bytea NOT NULL,
  account_id text NOT NULL REFERENCES accounts (id),
  value bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (kind, blind_index)
);
CREATE INDEX account_identifiers_by_account ON account_identifiers (account_id);
CREATE TABLE password_credentials (
  account_id text PRIMARY KEY REFERENCES accounts (id),
  hash text NOT NULL,
  created_at timestamptz NOT NULL
);

-- OpenID Connect Core 1.0, section 8.1: the pairwise subject of an account in a sector, chosen once, kept for ever.
CREATE TABLE pairwise_subjects (
  account_id text NOT NULL REFERENCES accounts (id),
  sector text NOT NULL,
  sub text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, sector)
);

-- Portals: the relying parties.
CREATE TABLE portals (
  client_id text PRIMARY KEY,
  name jsonb NOT NULL,
  sector text NOT NULL,
  state text NOT NULL CHECK (state IN ('draft', 'sandbox', 'approved', 'suspended')),
  home_uri text NOT NULL,
  redirect_uris jsonb NOT NULL,
  post_logout_redirect_uris jsonb NOT NULL,
  backchannel_logout_uri text,
  scopes jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE TABLE portal_secrets (
  client_id text NOT NULL REFERENCES portals (client_id),
  hash bytea NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  PRIMARY KEY (client_id, hash)
);

-- Organisations, their units, and who does what in them.
CREATE TABLE organisations (
  id text PRIMARY KEY,
  unified_social_credit_code text NOT NULL UNIQUE,
  name text NOT NULL,
  state text NOT NULL CHECK (state IN ('active', 'suspended', 'dissolved')),
  created_at timestamptz NOT NULL
);
CREATE TABLE units (
  id text PRIMARY KEY,
  organisation_id text NOT NULL REFERENCES organisations (id),
  parent_id text REFERENCES units (id),
  name text NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (organisation_id, name)
);
CREATE TABLE memberships (
  account_id text NOT NULL REFERENCES accounts (id),
  unit_id text NOT NULL REFERENCES units (id),
  role text NOT NULL CHECK (role IN ('seal-officer')),
  created_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, unit_id, role)
);

-- Seals: certificates, the registry, and every use.
CREATE TABLE certificates (
  id text PRIMARY KEY,
  profile text NOT NULL CHECK (profile IN ('root', 'issuing', 'seal')),
  key_id text NOT NULL REFERENCES custody_keys (id),
  issuer_id text REFERENCES certificates (id),
  fingerprint bytea NOT NULL UNIQUE,
  der bytea NOT NULL,
  not_before timestamptz NOT NULL,
  not_after timestamptz NOT NULL
);
CREATE TABLE seals (
  id text PRIMARY KEY,
  code text NOT NULL UNIQUE,
  unit_id text NOT NULL REFERENCES units (id),
  name text NOT NULL,
  kind text NOT NULL,
  state text NOT NULL CHECK (state IN ('active', 'suspended', 'revoked', 'expired', 'destroyed')),
  drawing jsonb NOT NULL,
  key_id text NOT NULL REFERENCES custody_keys (id),
  certificate_id text NOT NULL REFERENCES certificates (id),
  created_at timestamptz NOT NULL,
  UNIQUE (unit_id, name)
);
CREATE INDEX seals_by_certificate ON seals (certificate_id);
CREATE TABLE sealings (
  id text PRIMARY KEY,
  seal_id text NOT NULL REFERENCES seals (id),
  actor text NOT NULL REFERENCES accounts (id),
  client_id text NOT NULL,
  idempotency_key text,
  request_digest bytea NOT NULL,
  document_digest bytea NOT NULL,
  state text NOT NULL CHECK (state IN ('intended', 'permitted', 'completed', 'failed')),
  intended_at timestamptz NOT NULL,
  intent_seq bigint NOT NULL,
  completed_at timestamptz,
  result_seq bigint,
  sealed_digest bytea,
  increment bytea,
  UNIQUE (actor, idempotency_key)
);
