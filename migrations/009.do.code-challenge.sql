-- Whether a portal must send PKCE with every request.
ALTER TABLE portals ADD COLUMN code_challenge text NOT NULL DEFAULT 'required' CHECK (code_challenge IN ('required', 'optional'));
