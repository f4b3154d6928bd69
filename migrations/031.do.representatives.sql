-- What a register confirmed: that an account's person represents an organisation. Whom it is about is an account id; the register keeps the rest.
CREATE TABLE representative_proofs (
  id text PRIMARY KEY,
  account_id text NOT NULL REFERENCES accounts (id),
  organisation_id text NOT NULL REFERENCES organisations (id),
  register text NOT NULL,
  reference text NOT NULL,
  proven_at timestamptz NOT NULL
);
CREATE INDEX representative_proofs_organisation ON representative_proofs (organisation_id, id);
