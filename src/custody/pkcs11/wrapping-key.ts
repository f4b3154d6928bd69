/** A wrapping key that never leaves a token: AES-256-GCM by the token itself (PKCS #11 v2.40, 2.12). */
import { randomBytes } from 'node:crypto';
import type { Lent, TokenConnection } from './connection.ts';
import { CustodyError } from '../errors.ts';
import type { WrappingKey } from '../wrapping.ts';

const IV_BYTES = 12;
const TAG_BYTES = 16;
/** First octet of what it wraps; IV, then ciphertext and tag follow. */
const FORM = 1;

/**
 * The wrapping key with this label.
 * @throws {CustodyError} KEY_UNAVAILABLE: the token cannot be reached, or has no such key.
 */
export async function tokenWrappingKey(token: TokenConnection, label: string): Promise<WrappingKey> {
  const c = token.constants;
  const handleOf = (lent: Lent) => lent.need(c.CKO_SECRET_KEY, c.CKA_LABEL, label);
  const mechanismOf = (iv: Buffer, context: string) => ({
    mechanism: c.CKM_AES_GCM,
    parameter: {
      type: c.CK_PARAMS_AES_GCM_v240,
      iv,
      aad: Buffer.from(context),
      ivBits: IV_BYTES * 8,
      tagBits: TAG_BYTES * 8,
    },
  });
  const id = await token.use((lent) => {
    const [attribute] = lent.pkcs11.C_GetAttributeValue(lent.session, handleOf(lent), [{ type: c.CKA_ID }]);
    return Buffer.from(attribute?.value as Buffer).toString('hex');
  });
  if (!/^[0-9a-f]{16}$/.test(id))
    throw new CustodyError(
      'KEY_UNAVAILABLE',
      'The wrapping key in the token has no id of 8 octets (CKA_ID).',
    );

  return {
    id,
    wrap: (plaintext, context) =>
      token.use(async (lent) => {
        const iv = randomBytes(IV_BYTES);
        lent.pkcs11.C_EncryptInit(lent.session, mechanismOf(iv, context), handleOf(lent));
        const sealed = await lent.pkcs11.C_EncryptAsync(
          lent.session,
          Buffer.from(plaintext),
          Buffer.alloc(plaintext.length + TAG_BYTES),
        );
        return Buffer.concat([Uint8Array.of(FORM), iv, sealed]);
      }),
    unwrap: (wrapped, context) =>
      token.use(async (lent) => {
        if (wrapped[0] !== FORM || wrapped.length < 1 + IV_BYTES + TAG_BYTES)
          throw new Error('not a wrapped key');
        const iv = Buffer.from(wrapped.subarray(1, 1 + IV_BYTES));
        const sealed = Buffer.from(wrapped.subarray(1 + IV_BYTES));
        lent.pkcs11.C_DecryptInit(lent.session, mechanismOf(iv, context), handleOf(lent));
        return lent.pkcs11.C_DecryptAsync(lent.session, sealed, Buffer.alloc(sealed.length));
      }),
  };
}

/** Makes a wrapping key in the token, which gives it to nobody. @returns Its id. @throws {CustodyError} KEY_STATE: there is one of this name. */
export async function makeTokenWrappingKey(token: TokenConnection, label: string): Promise<string> {
  const c = token.constants;
  return token.use((lent) => {
    if (lent.find(c.CKO_SECRET_KEY, c.CKA_LABEL, label))
      throw new CustodyError('KEY_STATE', 'The token has a wrapping key of this name.');
    const id = randomBytes(8);
    lent.pkcs11.C_GenerateKey(lent.session, { mechanism: c.CKM_AES_KEY_GEN }, [
      { type: c.CKA_CLASS, value: c.CKO_SECRET_KEY },
      { type: c.CKA_KEY_TYPE, value: c.CKK_AES },
      { type: c.CKA_VALUE_LEN, value: 32 },
      { type: c.CKA_ID, value: id },
      { type: c.CKA_LABEL, value: label },
      { type: c.CKA_TOKEN, value: true },
      { type: c.CKA_PRIVATE, value: true },
      { type: c.CKA_SENSITIVE, value: true },
      { type: c.CKA_EXTRACTABLE, value: false },
      { type: c.CKA_ENCRYPT, value: true },
      { type: c.CKA_DECRYPT, value: true },
    ]);
    return id.toString('hex');
  });
}
