-- What a portal is and may do: whose it is, how it authenticates, the assurance it needs, and what it says of each thing that it asks for.
ALTER TABLE portals
  ADD COLUMN region text,
  ADD COLUMN department text,
  ADD COLUMN profile text NOT NULL DEFAULT 'baseline' CHECK (profile IN ('baseline', 'fapi2')),
  ADD COLUMN minimum_acr text,
  ADD COLUMN claims jsonb NOT NULL DEFAULT '[]',
  ADD COLUMN optional_claims jsonb NOT NULL DEFAULT '[]',
  ADD COLUMN purposes jsonb NOT NULL DEFAULT '{}',
  ADD COLUMN contacts jsonb NOT NULL DEFAULT '[]',
  ADD COLUMN logo_uri text,
  -- Further client metadata by its registered names (OpenID Connect Dynamic Client Registration 1.0, section 2).
  ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
  -- What was issued to the portal before this is void: set when it is suspended.
  ADD COLUMN valid_from timestamptz;
-- Claims that a person decided on by themselves, apart from scopes: given, or refused where the portal can do without.
CREATE TABLE claim_decisions (
  account_id text NOT NULL REFERENCES accounts (id),
  client_id text NOT NULL REFERENCES portals (client_id),
  claim text NOT NULL,
  decision text NOT NULL CHECK (decision IN ('given', 'refused')),
  decided_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, client_id, claim)
);
