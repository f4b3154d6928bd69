-- What a person has agreed to give a portal, so that they are asked again only when more is asked.
CREATE TABLE consents (
  account_id text NOT NULL REFERENCES accounts (id),
  client_id text NOT NULL REFERENCES portals (client_id),
  -- Resource indicator (RFC 8707), or '' for OpenID Connect's own scopes.
  resource text NOT NULL,
  scope text NOT NULL,
  given_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, client_id, resource, scope)
);
