/**
 * The two ceremonies of passkeys (Web Authentication Level 3, section 7): a browser is told what is wanted, and what its authenticator
 * answers is judged. Passkeys are discoverable and verify the user, so that a person signs in without a user name.
 */
import {
  generateAuthenticationOptions,
  generateRegistrationOptions,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
  type AuthenticationResponseJSON,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  type RegistrationResponseJSON,
} from '@simplewebauthn/server';
import { COSEALG, decodeAttestationObject } from '@simplewebauthn/server/helpers';
import { buildPath, parseCertificate, pemToDer, type Certificate } from '../../pki/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import { createPasskeyChallenges, type ChallengePurpose, type TakeOnce } from './passkey-challenges.ts';
import {
  authenticationResponse,
  clientData,
  read,
  refusal,
  registrationResponse,
} from './passkey-responses.ts';

const ALGORITHMS = [COSEALG.ES256, COSEALG.EdDSA, COSEALG.RS256];
const CEREMONY_MS = 300_000;

/** A credential that a browser is to use, or not to make again. */
export interface KnownCredential {
  readonly credentialId: Uint8Array;
  readonly transports: string[];
}

export interface NewCredential extends KnownCredential {
  /** COSE_Key. */
  readonly publicKey: Uint8Array;
  readonly signCount: number;
  readonly deviceBound: boolean;
  /** Whether a trusted maker says that the key is kept in hardware. */
  readonly attested: boolean;
}

/** An answer to a challenge of ours, not judged yet. */
export interface PasskeyAnswer {
  readonly credentialId: Uint8Array;
  /** Whose it is, as the authenticator says: base64url. */
  readonly userHandle: string | undefined;
  /** Judges it. @throws {IdentityError} PASSKEY_REFUSED */
  verify(publicKey: Uint8Array): Promise<{ readonly signCount: number; readonly deviceBound: boolean }>;
}

export interface PasskeyCeremonies {
  /** @param request.userHandle The account's own number for authenticators. */
  creationOptions(request: {
    accountId: string;
    binding: string;
    userName: string;
    userHandle: Uint8Array<ArrayBuffer>;
    exclude: readonly KnownCredential[];
  }): Promise<PublicKeyCredentialCreationOptionsJSON>;
  /** @throws {IdentityError} PASSKEY_REFUSED */
  created(answer: { accountId: string; binding: string; response: string }): Promise<NewCredential>;
  /** @param request.allow Undefined: any passkey will do. */
  requestOptions(request: {
    binding: string;
    accountId: string | undefined;
    allow: readonly KnownCredential[] | undefined;
  }): Promise<PublicKeyCredentialRequestOptionsJSON>;
  /** Takes the challenge, once. @throws {IdentityError} PASSKEY_REFUSED */
  answered(answer: {
    binding: string;
    accountId: string | undefined;
    response: string;
  }): Promise<PasskeyAnswer>;
}

/**
 * @param parts.serviceName What browsers call this service while a passkey is made.
 * @param parts.authorities Certificates (PEM) of makers that keep keys in hardware. Without any, no attestation is asked for.
 */
export function createPasskeyCeremonies(parts: {
  clock: Clock;
  dataKeys: DataKeys;
  takeOnce: TakeOnce;
  issuer: string;
  serviceName: string;
  authorities: string | undefined;
}): PasskeyCeremonies {
  const { clock, issuer } = parts;
  // A passkey is good for this host and no other, and only pages of this very origin may use it.
  const rpID = new URL(issuer).hostname;
  const challenges = createPasskeyChallenges(parts);
  const authorities =
    parts.authorities === undefined
      ? []
      : pemToDer('CERTIFICATE', parts.authorities).map((der) => parseCertificate(der));

  /** Takes the challenge that an authenticator has signed. @returns it, as it stands in the client data. */
  async function takeChallenge(clientDataJSON: string, purpose: ChallengePurpose): Promise<string> {
    const { challenge, crossOrigin } = read(clientData, Buffer.from(clientDataJSON, 'base64url').toString());
    // Our pages stand in no frame: who says otherwise shows them in a place that we know nothing of.
    if (crossOrigin === true) throw refusal('it was used in a frame');
    if (!(await challenges.take(Buffer.from(challenge, 'base64url'), purpose)))
      throw refusal('the challenge is not ours, too old, for something else, or used before');
    return challenge;
  }

  /** Whether a maker that is trusted has certified that the key is kept in hardware (Web Authentication Level 3, section 8.2). */
  function isAttested(attestationObject: Uint8Array<ArrayBuffer>): boolean {
    const decoded = decodeAttestationObject(attestationObject);
    // Formats beside `packed` have rules of their own on what a certificate says of the key's protection.
    if (authorities.length === 0 || decoded.get('fmt') !== 'packed') return false;
    const [leaf, ...intermediates] = parseAll(decoded.get('attStmt').get('x5c') ?? []);
    return leaf !== undefined && buildPath(leaf, intermediates, authorities, clock.now()).ok;
  }

  return {
    creationOptions: ({ accountId, binding, userName, userHandle, exclude }) =>
      generateRegistrationOptions({
        rpName: parts.serviceName,
        rpID,
        userID: userHandle,
        userName,
        userDisplayName: userName,
        challenge: challenges.make({ ceremony: 'create', binding, accountId }),
        timeout: CEREMONY_MS,
        // Browsers ask people for leave to tell the maker: only where somebody would judge it.
        attestationType: authorities.length > 0 ? 'direct' : 'none',
        excludeCredentials: exclude.map(toDescriptor),
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
        supportedAlgorithmIDs: ALGORITHMS,
      }),

    async created({ accountId, binding, response: text }) {
      const response = read(registrationResponse, text);
      const purpose = { ceremony: 'create', binding, accountId } as const;
      const challenge = await takeChallenge(response.response.clientDataJSON, purpose);
      const { registrationInfo: made } = await checked(() =>
        verifyRegistrationResponse({
          response: response as RegistrationResponseJSON,
          expectedChallenge: challenge,
          expectedOrigin: issuer,
          expectedRPID: rpID,
          expectedType: 'webauthn.create',
          requireUserVerification: true,
          supportedAlgorithmIDs: ALGORITHMS,
        }),
      );
      if (!made) throw refusal('the attestation does not verify');
      // One that must be told whose it is could not be used without a user name.
      if (response.clientExtensionResults.credProps?.rk === false) throw refusal('it is not discoverable');
      const deviceBound = made.credentialDeviceType === 'singleDevice';
      return {
        credentialId: Buffer.from(made.credential.id, 'base64url'),
        transports: response.response.transports,
        publicKey: made.credential.publicKey,
        signCount: made.credential.counter,
        deviceBound,
        attested: deviceBound && isAttested(Uint8Array.from(made.attestationObject)),
      };
    },

    requestOptions: ({ binding, accountId, allow }) =>
      generateAuthenticationOptions({
        rpID,
        challenge: challenges.make({ ceremony: 'get', binding, accountId }),
        timeout: CEREMONY_MS,
        userVerification: 'required',
        ...(allow ? { allowCredentials: allow.map(toDescriptor) } : {}),
      }),

    async answered({ binding, accountId, response: text }) {
      const response = read(authenticationResponse, text);
      const purpose = { ceremony: 'get', binding, accountId } as const;
      const challenge = await takeChallenge(response.response.clientDataJSON, purpose);
      return {
        credentialId: Buffer.from(response.id, 'base64url'),
        userHandle: response.response.userHandle ?? undefined,
        async verify(publicKey) {
          const { verified, authenticationInfo: info } = await checked(() =>
            verifyAuthenticationResponse({
              response: { clientExtensionResults: {}, ...response } as AuthenticationResponseJSON,
              expectedChallenge: challenge,
              expectedOrigin: issuer,
              expectedRPID: rpID,
              expectedType: 'webauthn.get',
              requireUserVerification: true,
              // The library would judge the counter before the signature; whoever keeps the counter judges it, on a signature that holds.
              credential: { id: response.id, publicKey: Uint8Array.from(publicKey), counter: 0 },
            }),
          );
          if (!verified) throw refusal('the signature does not verify');
          return { signCount: info.newCounter, deviceBound: info.credentialDeviceType === 'singleDevice' };
        },
      };
    },
  };
}

function toDescriptor({ credentialId, transports }: KnownCredential) {
  return { id: Buffer.from(credentialId).toString('base64url'), transports };
}

/** Runs a check of the library, which throws whatever it finds wrong. */
async function checked<T>(verify: () => Promise<T>): Promise<T> {
  try {
    return await verify();
  } catch (cause) {
    throw refusal('it does not verify', cause);
  }
}

/** Certificates as authenticators send them; none where one of them cannot be read. */
function parseAll(certificates: readonly Uint8Array[]): Certificate[] {
  try {
    return certificates.map((der) => parseCertificate(der));
  } catch {
    return [];
  }
}
