-- Organisations of every kind and region, a tree of units, roles that begin and end, and mandates.
-- Table `memberships` goes on holding nothing but what is so now: a process that knows no ends still reads it rightly.
ALTER TABLE organisations ADD COLUMN kind text;
ALTER TABLE organisations ADD COLUMN region text;
UPDATE organisations SET
  region = substr(unified_social_credit_code, 3, 6),
  kind = CASE substr(unified_social_credit_code, 1, 2)
    WHEN '11' THEN 'government' WHEN '12' THEN 'institution' WHEN '13' THEN 'mass-organisation'
    WHEN '51' THEN 'social-organisation' WHEN '52' THEN 'social-organisation' WHEN '53' THEN 'social-organisation'
    WHEN '91' THEN 'enterprise' WHEN '92' THEN 'individual-business' WHEN '93' THEN 'cooperative'
    ELSE 'other' END;
ALTER TABLE organisations ADD CONSTRAINT organisations_kind CHECK (kind IN
  ('government', 'institution', 'mass-organisation', 'social-organisation', 'enterprise', 'individual-business', 'cooperative', 'other'));

ALTER TABLE units ADD COLUMN state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'closed'));
ALTER TABLE units ADD COLUMN closed_at timestamptz;
ALTER TABLE units DROP CONSTRAINT units_organisation_id_name_key;
-- Units side by side have different names; a closed one gives its name free.
CREATE UNIQUE INDEX units_siblings ON units (organisation_id, coalesce(parent_id, ''), name) WHERE state = 'active';

ALTER TABLE memberships ADD COLUMN id text NOT NULL DEFAULT 'mbr_' || left(replace(gen_random_uuid()::text, '-', ''), 26);
ALTER TABLE memberships ADD COLUMN organisation_id text REFERENCES organisations (id);
ALTER TABLE memberships ADD COLUMN granted_by text NOT NULL DEFAULT 'system';
UPDATE memberships m SET organisation_id = (SELECT u.organisation_id FROM units u WHERE u.id = m.unit_id);
ALTER TABLE memberships ALTER COLUMN organisation_id SET NOT NULL;
ALTER TABLE memberships DROP CONSTRAINT memberships_pkey;
ALTER TABLE memberships ADD PRIMARY KEY (id);
ALTER TABLE memberships ALTER COLUMN unit_id DROP NOT NULL;
ALTER TABLE memberships DROP CONSTRAINT memberships_role_check;
ALTER TABLE memberships ADD CONSTRAINT memberships_role CHECK (role IN
  ('legal-representative', 'administrator', 'seal-keeper', 'seal-officer', 'approver', 'auditor'));
CREATE UNIQUE INDEX memberships_once ON memberships (account_id, organisation_id, coalesce(unit_id, ''), role);
-- An organisation has one legal representative.
CREATE UNIQUE INDEX memberships_representative ON memberships (organisation_id) WHERE role = 'legal-representative';
CREATE INDEX memberships_organisation ON memberships (organisation_id, id);

CREATE TABLE memberships_ended (
  id text PRIMARY KEY,
  account_id text NOT NULL REFERENCES accounts (id),
  organisation_id text NOT NULL REFERENCES organisations (id),
  unit_id text REFERENCES units (id),
  role text NOT NULL,
  granted_by text NOT NULL,
  created_at timestamptz NOT NULL,
  ended_at timestamptz NOT NULL,
  ended_by text NOT NULL
);
CREATE INDEX memberships_ended_organisation ON memberships_ended (organisation_id, id);

-- What an agent may do for an organisation or one of its units, and until when.
CREATE TABLE mandates (
  id text PRIMARY KEY,
  organisation_id text NOT NULL REFERENCES organisations (id),
  unit_id text REFERENCES units (id),
  agent_id text NOT NULL REFERENCES accounts (id),
  -- Portals (client_id) and resource servers (RFC 8707) by name.
  services jsonb NOT NULL,
  -- [{ "sealId", "unitId" }]
  seals jsonb NOT NULL,
  purpose text NOT NULL,
  valid_from timestamptz NOT NULL,
  valid_to timestamptz NOT NULL,
  granted_by text NOT NULL,
  granted_at timestamptz NOT NULL,
  revoked_at timestamptz,
  revoked_by text,
  CHECK (valid_from < valid_to),
  CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);
CREATE INDEX mandates_organisation ON mandates (organisation_id, id);
CREATE INDEX mandates_agent ON mandates (agent_id, id);

CREATE TABLE mandate_uses (
  id text PRIMARY KEY,
  mandate_id text NOT NULL REFERENCES mandates (id),
  used_at timestamptz NOT NULL,
  service text,
  seal_id text,
  CHECK ((service IS NULL) <> (seal_id IS NULL))
);
CREATE INDEX mandate_uses_mandate ON mandate_uses (mandate_id, id);
