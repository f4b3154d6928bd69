/** An authenticator in software that makes real attestations and assertions, and, when told to, wrong ones. It shares no code with what it tests. */
import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';

/** How an answer differs from an honest one. */
export interface Deviation {
  readonly origin?: string;
  readonly rpId?: string;
  readonly challenge?: string;
  readonly type?: string;
  readonly crossOrigin?: boolean;
  readonly userVerified?: boolean;
  readonly userPresent?: boolean;
  readonly backupEligible?: boolean;
  readonly counter?: number;
  readonly userHandle?: string | null;
  readonly credentialId?: Buffer;
  /** Changes the signature after it was made. */
  readonly spoil?: (signature: Buffer) => void;
}

export interface AuthenticatorTraits {
  readonly origin: string;
  readonly algorithm?: 'ES256' | 'EdDSA' | 'RS256';
  /** Whether keys may be synced between devices. */
  readonly backupEligible?: boolean;
  /** `none`: the counter is always zero, as synced passkeys have it. */
  readonly counter?: 'none' | 'counts';
  /** Signs attestations of format `packed`; without it they are of format `none`. */
  readonly attestation?: { readonly certificates: readonly Buffer[]; readonly key: KeyObject };
}

interface CreationOptions {
  readonly challenge: string;
  readonly rp: { readonly id?: string };
  readonly user: { readonly id: string };
}

interface RequestOptions {
  readonly challenge: string;
  readonly rpId?: string;
}

export interface HeldKey {
  readonly id: Buffer;
  readonly privateKey: KeyObject;
  readonly userHandle: string;
  counter: number;
}

const COSE = { ES256: -7, EdDSA: -8, RS256: -257 } as const;
const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest();

export class Authenticator {
  readonly keys: HeldKey[] = [];
  readonly #traits: Required<Omit<AuthenticatorTraits, 'attestation'>> &
    Pick<AuthenticatorTraits, 'attestation'>;

  constructor(traits: AuthenticatorTraits) {
    this.#traits = { algorithm: 'ES256', backupEligible: true, counter: 'none', ...traits };
  }

  /** Makes a passkey. @returns JSON as of `PublicKeyCredential.toJSON()`. */
  create(options: CreationOptions, deviation: Deviation = {}): string {
    const { algorithm, counter, attestation } = this.#traits;
    const { privateKey, cose } = newKey(algorithm);
    const key: HeldKey = {
      id: deviation.credentialId ?? randomBytes(32),
      privateKey,
      userHandle: options.user.id,
      counter: counter === 'none' ? 0 : 1,
    };
    this.keys.push(key);
    const clientDataJSON = this.#clientData('webauthn.create', options.challenge, deviation);
    const attestedCredentialData = Buffer.concat([
      Buffer.alloc(16),
      Buffer.of(key.id.length >> 8, key.id.length & 0xff),
      key.id,
      cose,
    ]);
    const authData = this.#authenticatorData(
      options.rp.id ?? '',
      key.counter,
      deviation,
      attestedCredentialData,
    );
    const signed = Buffer.concat([authData, sha256(clientDataJSON)]);
    const attStmt = new Map<string, unknown>();
    if (attestation) {
      attStmt.set('alg', COSE.ES256);
      const signature = sign('sha256', signed, attestation.key);
      deviation.spoil?.(signature);
      attStmt.set('sig', signature);
      attStmt.set('x5c', attestation.certificates);
    }
    const attestationObject = cbor(
      new Map<string, unknown>([
        ['fmt', attestation ? 'packed' : 'none'],
        ['attStmt', attStmt],
        ['authData', authData],
      ]),
    );
    return JSON.stringify({
      id: key.id.toString('base64url'),
      rawId: key.id.toString('base64url'),
      type: 'public-key',
      authenticatorAttachment: 'platform',
      response: {
        clientDataJSON: clientDataJSON.toString('base64url'),
        attestationObject: attestationObject.toString('base64url'),
        transports: ['internal', 'hybrid'],
      },
      clientExtensionResults: { credProps: { rk: true } },
    });
  }

  /** Uses a passkey, the newest unless told otherwise. @returns JSON as of `PublicKeyCredential.toJSON()`. */
  get(options: RequestOptions, deviation: Deviation = {}, key = this.keys.at(-1)): string {
    if (!key) throw new Error('the authenticator has no key');
    if (this.#traits.counter === 'counts') key.counter += 1;
    const clientDataJSON = this.#clientData('webauthn.get', options.challenge, deviation);
    const authData = this.#authenticatorData(options.rpId ?? '', key.counter, deviation);
    const signed = Buffer.concat([authData, sha256(clientDataJSON)]);
    const signature = sign(this.#traits.algorithm === 'EdDSA' ? null : 'sha256', signed, key.privateKey);
    deviation.spoil?.(signature);
    const id = (deviation.credentialId ?? key.id).toString('base64url');
    const userHandle = deviation.userHandle === undefined ? key.userHandle : deviation.userHandle;
    return JSON.stringify({
      id,
      rawId: id,
      type: 'public-key',
      authenticatorAttachment: 'platform',
      response: {
        clientDataJSON: clientDataJSON.toString('base64url'),
        authenticatorData: authData.toString('base64url'),
        signature: signature.toString('base64url'),
        userHandle,
      },
      clientExtensionResults: {},
    });
  }

  #clientData(type: string, challenge: string, deviation: Deviation): Buffer {
    return Buffer.from(
      JSON.stringify({
        type: deviation.type ?? type,
        challenge: deviation.challenge ?? challenge,
        origin: deviation.origin ?? this.#traits.origin,
        crossOrigin: deviation.crossOrigin ?? false,
      }),
    );
  }

  /** Web Authentication Level 3, section 6.1. */
  #authenticatorData(
    rpId: string,
    counter: number,
    deviation: Deviation,
    attested: Buffer = Buffer.alloc(0),
  ): Buffer {
    const backupEligible = deviation.backupEligible ?? this.#traits.backupEligible;
    const flags =
      (deviation.userPresent === false ? 0 : 0x01) |
      (deviation.userVerified === false ? 0 : 0x04) |
      (backupEligible ? 0x18 : 0) |
      (attested.length > 0 ? 0x40 : 0);
    const count = Buffer.alloc(4);
    count.writeUInt32BE(deviation.counter ?? counter);
    return Buffer.concat([sha256(deviation.rpId ?? rpId), Buffer.of(flags), count, attested]);
  }
}

function newKey(algorithm: keyof typeof COSE): { privateKey: KeyObject; cose: Buffer } {
  const { privateKey, publicKey } =
    algorithm === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : algorithm === 'EdDSA'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x = '', y = '', n = '', e = '' } = publicKey.export({ format: 'jwk' });
  const bytes = (text: string) => Buffer.from(text, 'base64url');
  // RFC 9053, sections 7.1 and 7.2; RFC 8230, section 4.
  const parameters: [number, unknown][] =
    algorithm === 'RS256'
      ? [
          [1, 3],
          [3, COSE.RS256],
          [-1, bytes(n)],
          [-2, bytes(e)],
        ]
      : algorithm === 'EdDSA'
        ? [
            [1, 1],
            [3, COSE.EdDSA],
            [-1, 6],
            [-2, bytes(x)],
          ]
        : [
            [1, 2],
            [3, COSE.ES256],
            [-1, 1],
            [-2, bytes(x)],
            [-3, bytes(y)],
          ];
  return { privateKey, cose: cbor(new Map(parameters)) };
}

/** Integers, octets, text, arrays and maps (RFC 8949). */
function cbor(value: unknown): Buffer {
  const head = (major: number, n: number): Buffer => {
    if (n < 24) return Buffer.of((major << 5) | n);
    if (n < 0x100) return Buffer.of((major << 5) | 24, n);
    return Buffer.of((major << 5) | 25, n >> 8, n & 0xff);
  };
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === 'string')
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)]);
  if (value instanceof Map)
    return Buffer.concat([
      head(5, value.size),
      ...[...value].flatMap(([key, entry]) => [cbor(key), cbor(entry)]),
    ]);
  throw new TypeError('not written here');
}

/** The options that a page gives to the browser. */
export function optionsOn(html: string, ceremony: 'create'): CreationOptions;
export function optionsOn(html: string, ceremony: 'get'): RequestOptions;
export function optionsOn(html: string, ceremony: string): unknown {
  const text = new RegExp(`data-passkey="${ceremony}" data-options="([^"]+)"`).exec(html)?.[1];
  if (text === undefined) throw new Error('the page asks for no passkey');
  return JSON.parse(text.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&amp;', '&'));
}
