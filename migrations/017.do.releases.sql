-- What left for which portal, claim by claim, without the values: written before the answer leaves.
CREATE TABLE releases (
  account_id text NOT NULL,
  -- Grows with time.
  id bigint GENERATED ALWAYS AS IDENTITY,
  client_id text NOT NULL,
  way text NOT NULL CHECK (way IN ('userinfo', 'id-token', 'api')),
  -- Names of claims, separated by spaces.
  claims text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (account_id, id)
);
-- What is older than it is kept is found by the block: rows lie in the order of their time.
CREATE INDEX releases_by_age ON releases USING brin (at);
