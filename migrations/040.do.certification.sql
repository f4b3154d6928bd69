-- Certification: whose certificate it is in which hierarchy, whether it still holds, and the lists that say so.
ALTER TABLE certificates DROP CONSTRAINT certificates_profile_check;
ALTER TABLE certificates
  ADD CONSTRAINT certificates_profile_check
    CHECK (profile IN ('root', 'issuing', 'seal', 'ocsp-responder', 'time-stamping', 'outside')),
  ADD COLUMN hierarchy text NOT NULL DEFAULT 'p-256',
  ADD COLUMN serial_number bytea,
  ADD COLUMN revoked_at timestamptz,
  ADD COLUMN revocation_reason text,
  -- Since when the key is thought to be in wrong hands (RFC 5280, section 5.3.2).
  ADD COLUMN invalid_since timestamptz,
  ADD CONSTRAINT certificates_revocation_check CHECK ((revoked_at IS NULL) = (revocation_reason IS NULL));
ALTER TABLE certificates ALTER COLUMN hierarchy DROP DEFAULT;

-- The serial number of those that exist, out of their DER (RFC 5280, section 4.1): two SEQUENCEs whose lengths take one to three octets, the
-- version in five, then the INTEGER.
UPDATE certificates c
   SET serial_number = substring(c.der FROM number.start + 3 FOR get_byte(c.der, number.start + 1))
  FROM (
    SELECT id, inner_start + (CASE get_byte(der, inner_start + 1) WHEN 129 THEN 3 WHEN 130 THEN 4 ELSE 2 END) + 5 AS start
      FROM (
        SELECT id, der, CASE get_byte(der, 1) WHEN 129 THEN 3 WHEN 130 THEN 4 ELSE 2 END AS inner_start
          FROM certificates
      ) outermost
  ) number
 WHERE number.id = c.id;
ALTER TABLE certificates ALTER COLUMN serial_number SET NOT NULL;
CREATE UNIQUE INDEX certificates_by_serial_number ON certificates (issuer_id, serial_number);
CREATE INDEX certificates_revoked ON certificates (issuer_id) WHERE revoked_at IS NOT NULL;
CREATE INDEX certificates_by_profile ON certificates (profile, not_after);

-- The newest list of each authority, as it is handed out. `entries`: how many certificates were revoked when it was made.
CREATE TABLE revocation_lists (
  issuer_id text PRIMARY KEY REFERENCES certificates (id),
  crl_number bigint NOT NULL,
  entries integer NOT NULL,
  this_update timestamptz NOT NULL,
  next_update timestamptz NOT NULL,
  der bytea NOT NULL
);

-- What leads from the certificate of an outside authority to its root, the nearest first.
CREATE TABLE outside_chains (
  certificate_id text NOT NULL REFERENCES certificates (id),
  position integer NOT NULL,
  der bytea NOT NULL,
  PRIMARY KEY (certificate_id, position)
);
