/** Keys that never leave a token: made there, not extractable, found by the id that the database knows them under. */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import type { Handle, Mechanism, RsaPSS, Template } from 'pkcs11js';
import {
  algorithmOf,
  der,
  digestAlgorithmIdentifier,
  verifySignature,
  type SignatureAlgorithm,
} from '../../pki/index.ts';
import type { TokenDriver } from '../driver.ts';
import { CustodyError } from '../errors.ts';
import type { KeyType } from '../key-types.ts';
import { sideBySide } from '../signing.ts';
import type { Lent, TokenConnection } from './connection.ts';

/** SM2 is missing: no mechanism of PKCS #11 signs it. Ed25519 is of version 3.0, which many modules lack. */
const KEY_TYPES: readonly KeyType[] = ['P-256', 'P-384', 'RSA-2048', 'RSA-3072', 'RSA-4096'];

const CURVES = { 'P-256': '1.2.840.10045.3.1.7', 'P-384': '1.3.132.0.34' } as const;
const idEcPublicKey = '1.2.840.10045.2.1';
const rsaEncryption = '1.2.840.113549.1.1.1';
/** Large enough for RSA-4096. */
const SIGNATURE_BYTES = 512;

export function keysInToken(token: TokenConnection): TokenDriver {
  const c = token.constants;

  const privateKeyOf = (lent: Lent, id: string): Handle =>
    lent.need(c.CKO_PRIVATE_KEY, c.CKA_ID, Buffer.from(id, 'utf8'));

  function generationOf(keyType: KeyType): { mechanism: Mechanism; template: Template } {
    if (keyType === 'P-256' || keyType === 'P-384')
      return {
        mechanism: { mechanism: c.CKM_EC_KEY_PAIR_GEN },
        template: [{ type: c.CKA_EC_PARAMS, value: der.objectIdentifier(CURVES[keyType]) }],
      };
    return {
      mechanism: { mechanism: c.CKM_RSA_PKCS_KEY_PAIR_GEN },
      template: [
        { type: c.CKA_MODULUS_BITS, value: Number(keyType.slice(4)) },
        { type: c.CKA_PUBLIC_EXPONENT, value: Buffer.from([1, 0, 1]) },
      ],
    };
  }

  function readPublicKey({ pkcs11, session }: Lent, handle: Handle, keyType: KeyType): KeyObject {
    const values = (...types: number[]) =>
      pkcs11
        .C_GetAttributeValue(
          session,
          handle,
          types.map((type) => ({ type })),
        )
        .map(({ value }) => Buffer.from(value));
    if (keyType === 'P-256' || keyType === 'P-384') {
      const [point = Buffer.alloc(0)] = values(c.CKA_EC_POINT);
      const curve = der.objectIdentifier(CURVES[keyType]);
      return toKey(
        der.sequence(der.objectIdentifier(idEcPublicKey), curve),
        der.decode(point, (reader) => reader.octetString()),
      );
    }
    const [modulus = Buffer.alloc(0), exponent = Buffer.alloc(0)] = values(
      c.CKA_MODULUS,
      c.CKA_PUBLIC_EXPONENT,
    );
    return toKey(
      der.sequence(der.objectIdentifier(rsaEncryption), der.nullValue()),
      der.sequence(der.integer(modulus), der.integer(exponent)),
    );
  }

  /** What the token is asked for, and how what it gives becomes the signature of the algorithm. */
  function howToSign(
    algorithm: SignatureAlgorithm,
    publicKey: KeyObject,
    data: Uint8Array,
  ): { mechanism: Mechanism; input: Buffer; finish(raw: Buffer): Buffer } {
    const row = algorithmOf(algorithm);
    const digest = createHash(row.digest).update(data).digest();
    if (row.keyType === 'ec') {
      const bytes = publicKey.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 48 : 32;
      return {
        mechanism: { mechanism: c.CKM_ECDSA },
        // ECDSA takes the leftmost bits of a longer digest (FIPS 186-5, 6.4.1); not every module cuts it by itself.
        input: digest.subarray(0, bytes),
        finish(raw) {
          const [r, s] = [raw.subarray(0, raw.length / 2), raw.subarray(raw.length / 2)];
          const signature = der.sequence(der.integer(r), der.integer(s));
          return row.dsaEncoding === 'der' ? signature : sideBySide(signature);
        },
      };
    }
    if (row.keyType !== 'rsa' || row.digest === 'sm3')
      throw new CustodyError('KEY_ALGORITHM', 'The token does not sign under this algorithm.');
    const finish = (raw: Buffer) => raw;
    if (row.padding === 'PKCS1-v1_5')
      return {
        mechanism: { mechanism: c.CKM_RSA_PKCS },
        // DigestInfo (RFC 8017, 9.2), where the parameters of the digest are NULL.
        input: der.sequence(withNull(digestAlgorithmIdentifier(row.digest)), der.octetString(digest)),
        finish,
      };
    const [hashAlg, mgf] = {
      sha256: [c.CKM_SHA256, c.CKG_MGF1_SHA256],
      sha384: [c.CKM_SHA384, c.CKG_MGF1_SHA384],
      sha512: [c.CKM_SHA512, c.CKG_MGF1_SHA512],
    }[row.digest] as [number, number];
    const parameter: RsaPSS = { type: c.CK_PARAMS_RSA_PSS, hashAlg, mgf, saltLen: digest.length };
    return { mechanism: { mechanism: c.CKM_RSA_PKCS_PSS, parameter }, input: digest, finish };
  }

  return {
    keyTypes: KEY_TYPES,

    async make(id, keyType, label) {
      if (!KEY_TYPES.includes(keyType))
        throw new CustodyError('KEY_ALGORITHM', `The token makes no keys of type ${keyType}.`);
      const { mechanism, template } = generationOf(keyType);
      const named = [
        { type: c.CKA_ID, value: Buffer.from(id, 'utf8') },
        { type: c.CKA_LABEL, value: label },
        { type: c.CKA_TOKEN, value: true },
      ];
      return token.use(async (lent) => {
        const pair = await lent.pkcs11.C_GenerateKeyPairAsync(
          lent.session,
          mechanism,
          [...named, { type: c.CKA_VERIFY, value: true }, ...template],
          [
            ...named,
            { type: c.CKA_PRIVATE, value: true },
            { type: c.CKA_SIGN, value: true },
            { type: c.CKA_SENSITIVE, value: true },
            { type: c.CKA_EXTRACTABLE, value: false },
          ],
        );
        return readPublicKey(lent, pair.publicKey, keyType);
      });
    },

    async open(id, publicKey) {
      await token.use((lent) => {
        privateKeyOf(lent, id);
      });
      return {
        publicKey,
        async sign(algorithm, data) {
          const { mechanism, input, finish } = howToSign(algorithm, publicKey, data);
          const raw = await token.use((lent) => {
            const { pkcs11, session } = lent;
            pkcs11.C_SignInit(session, mechanism, privateKeyOf(lent, id));
            return pkcs11.C_SignAsync(session, input, Buffer.alloc(SIGNATURE_BYTES));
          });
          const signature = finish(raw);
          // A token that was set up with the wrong key, or answers wrongly, is not believed.
          if (!verifySignature(algorithm, publicKey, data, signature))
            throw new CustodyError('KEY_UNAVAILABLE', 'The key cannot be used at the moment.', {
              cause: new Error('the token made a signature that does not verify'),
            });
          return signature;
        },
        close: () => undefined,
      };
    },

    destroy: (id) =>
      token.use((lent) => {
        for (const objectClass of [c.CKO_PRIVATE_KEY, c.CKO_PUBLIC_KEY]) {
          const handle = lent.find(objectClass, c.CKA_ID, Buffer.from(id, 'utf8'));
          if (handle) lent.pkcs11.C_DestroyObject(lent.session, handle);
        }
      }),

    has: (id) =>
      token.use((lent) => lent.find(c.CKO_PRIVATE_KEY, c.CKA_ID, Buffer.from(id, 'utf8')) !== undefined),
  };
}

function toKey(algorithm: Buffer, key: Buffer): KeyObject {
  return createPublicKey({ key: der.sequence(algorithm, der.bitString(key)), format: 'der', type: 'spki' });
}

/** AlgorithmIdentifier of a digest with NULL, as DigestInfo has it. */
function withNull(identifier: Buffer): Buffer {
  const oid = der.decode(identifier, (reader) => reader.sequence((inner) => inner.any()));
  return der.sequence(oid, der.nullValue());
}
