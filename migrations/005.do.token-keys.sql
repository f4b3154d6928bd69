-- The keys that sign tokens, by algorithm: announced in the JWK Set before they sign, published after they signed, then gone.
CREATE TABLE token_keys (
  key_id text PRIMARY KEY REFERENCES custody_keys (id),
  alg text NOT NULL CHECK (alg IN ('ES256', 'RS256')),
  state text NOT NULL CHECK (state IN ('announced', 'signing', 'retired')),
  since timestamptz NOT NULL
);
CREATE UNIQUE INDEX token_keys_signing ON token_keys (alg) WHERE state = 'signing';
INSERT INTO token_keys (key_id, alg, state, since)
  SELECT id, 'ES256', 'signing', created_at FROM custody_keys
   WHERE owner = 'provider' AND purpose = 'token' AND state = 'active' ORDER BY version DESC LIMIT 1;
