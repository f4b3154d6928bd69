-- Resource servers (RFC 8707): APIs of others that portals call with access tokens of this provider.
CREATE TABLE resources (
  identifier text PRIMARY KEY,
  name jsonb NOT NULL,
  -- What each scope lets a portal do, by language.
  scopes jsonb NOT NULL,
  token_format text NOT NULL CHECK (token_format IN ('opaque', 'jwt')),
  token_seconds integer NOT NULL CHECK (token_seconds BETWEEN 30 AND 3600),
  -- Portals that may look into tokens made for this resource (RFC 7662).
  introspected_by jsonb NOT NULL DEFAULT '[]',
  updated_at timestamptz NOT NULL
);
-- Which scopes of which resources a portal may ask for.
ALTER TABLE portals ADD COLUMN resources jsonb NOT NULL DEFAULT '{}';
-- How sure it is who the holder of an account is (0: nothing checked), apart from how strongly they sign in.
ALTER TABLE accounts ADD COLUMN proofing smallint NOT NULL DEFAULT 0 CHECK (proofing BETWEEN 0 AND 4);
