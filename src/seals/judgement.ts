/** Judges one seal. Pure: evidence in, a verdict with a reason for every check out (ETSI EN 319 102-1, section 5). */
import { createHash } from 'node:crypto';
import { fingerprintOf } from '../certification/index.ts';
import {
  buildPath,
  CmsError,
  DerError,
  parseSignedData,
  verifySignerInfo,
  withoutZeroPadding,
  X509Error,
  type Certificate,
  type PathFailureReason,
  type SignerInfoVerdict,
} from '../pki/index.ts';
import type { ParsedSignature } from './formats/format.ts';
import type { SealState } from './policy.ts';
import type { Seal } from './registry.ts';

/** ETSI EN 319 102-1, table 5. */
export type Indication = 'TOTAL-PASSED' | 'INDETERMINATE' | 'TOTAL-FAILED';

/** ETSI EN 319 102-1, table 6, as far as it is used; `DOCUMENT_EXTENDED` is ours: what follows the seal is not accounted for. */
export type SubIndication =
  | 'FORMAT_FAILURE'
  | 'HASH_FAILURE'
  | 'SIG_CRYPTO_FAILURE'
  | 'SIG_CONSTRAINTS_FAILURE'
  | 'NO_SIGNING_CERTIFICATE_FOUND'
  | 'NO_CERTIFICATE_CHAIN_FOUND'
  | 'CERTIFICATE_CHAIN_GENERAL_FAILURE'
  | 'OUT_OF_BOUNDS_NO_POE'
  | 'REVOKED'
  | 'DOCUMENT_EXTENDED';

/** One question asked of a seal, and its answer. */
export interface Check {
  readonly name:
    'structure' | 'digest' | 'signing-certificate' | 'signature' | 'chain' | 'registry' | 'coverage';
  readonly outcome: 'passed' | 'failed' | 'undecided';
  /** Stable; says what was found. */
  readonly code: string;
  /** The reason, as a sentence. */
  readonly message: string;
}

/** What can be said of one seal. A bad seal is a value, not an exception. */
export interface SealVerdict {
  readonly fieldName: string;
  readonly indication: Indication;
  readonly subIndication?: SubIndication;
  /** The bytes that it covers are those that were sealed. */
  readonly intact: boolean;
  /** The signature verifies under the certificate's key. */
  readonly valid: boolean;
  /** The chain reaches a root of ours, as of now. */
  readonly trusted: boolean;
  /** The seal's state in our registry now; `unknown` for a seal that is not in it. */
  readonly sealStatus: SealState | 'unknown';
  readonly seal?: { readonly id: string; readonly code: string; readonly name: string };
  /** As the certificate says. */
  readonly signer?: {
    readonly organisation?: string;
    readonly organisationIdentifier?: string;
    readonly unit?: string;
    readonly name?: string;
    /** RFC 4514. */
    readonly subject: string;
  };
  /** The time that the sealer claims. Nothing proves it. */
  readonly claimedAt?: Date;
  readonly reason?: string;
  readonly location?: string;
  /** The page that shows the seal, counted from 1. */
  readonly page?: number;
  /** Nothing follows what the seal covers. */
  readonly coversWholeDocument: boolean;
  readonly checks: readonly Check[];
}

/** A signature whose CMS could be read, and what holds of its signer. */
interface OpenedSignature {
  readonly certificate: Certificate;
  readonly certificates: readonly Certificate[];
  readonly verdict: SignerInfoVerdict;
  readonly problem?: undefined;
}

interface UnreadableSignature {
  readonly problem: { readonly code: string; readonly message: string };
  readonly certificate?: undefined;
}

/** Opens the CMS inside a signature and checks it against the bytes that it covers. */
export function readSignature(signature: ParsedSignature): OpenedSignature | UnreadableSignature {
  if (signature.problem) return { problem: signature.problem };
  try {
    const signed = parseSignedData(withoutZeroPadding(signature.contents));
    // A detached signature speaks of the document; one that brings its own content leaves open which of the two was meant.
    if (signed.encapsulatedContent !== undefined)
      return { problem: { code: 'CONTENT_INSIDE', message: 'The signature brings a content of its own.' } };
    const { digestAlgorithm } = signed.signerInfo;
    if (digestAlgorithm === undefined)
      return {
        problem: { code: 'DIGEST_UNSUPPORTED', message: 'The seal uses a digest that is not accepted here.' },
      };
    const digest = createHash(digestAlgorithm);
    for (const part of signature.covered) digest.update(part);
    const verdict = verifySignerInfo(signed, digest.digest());
    const { signerCertificate: certificate } = verdict;
    if (!certificate)
      return {
        problem: {
          code: 'CERTIFICATE_MISSING',
          message: 'The certificate of the sealer is not in the document.',
        },
      };
    return { certificate, certificates: signed.certificates, verdict };
  } catch (error) {
    if (error instanceof DerError || error instanceof CmsError || error instanceof X509Error)
      return { problem: { code: error.code, message: `The signature cannot be read: ${error.message}.` } };
    throw error;
  }
}

export interface Evidence {
  readonly signature: ParsedSignature;
  readonly read: OpenedSignature | UnreadableSignature;
  /** The seal that our registry has under this certificate. */
  readonly registered: Seal | undefined;
  /** Whether a later seal that holds covers the whole document. */
  readonly accountedFor: boolean;
  /** Certificates that were revoked, as of now: SHA-256, hex. */
  readonly revoked: ReadonlySet<string>;
  readonly roots: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
  readonly at: Date;
}

export function judge(evidence: Evidence): SealVerdict {
  const { signature, read, registered } = evidence;
  const { fieldName, claimedAt, reason, location, page } = signature;
  const findings = read.problem ? [structureFailed(read.problem)] : findingsOf(evidence, read);
  const checks = findings.map(({ check }) => check);
  const passed = (name: Check['name']) => checks.find((check) => check.name === name)?.outcome === 'passed';
  // The first failure decides; without one, the first doubt does.
  const decisive =
    findings.find(({ check }) => check.outcome === 'failed') ??
    findings.find(({ check }) => check.outcome === 'undecided');
  return {
    fieldName,
    indication: !decisive
      ? 'TOTAL-PASSED'
      : decisive.check.outcome === 'failed'
        ? 'TOTAL-FAILED'
        : 'INDETERMINATE',
    ...(decisive?.subIndication && { subIndication: decisive.subIndication }),
    intact: passed('digest'),
    valid: passed('signature'),
    trusted: passed('chain'),
    sealStatus: registered?.state ?? 'unknown',
    ...(registered && { seal: { id: registered.id, code: registered.code, name: registered.name } }),
    ...(read.certificate && { signer: signerOf(read.certificate) }),
    ...(claimedAt && { claimedAt }),
    ...(reason !== undefined && { reason }),
    ...(location !== undefined && { location }),
    ...(page !== undefined && { page }),
    coversWholeDocument: !signature.problem && signature.coversWholeDocument,
    checks,
  };
}

/** A check, and the sub-indication that it leads to where it decides. */
interface Finding {
  readonly check: Check;
  readonly subIndication?: SubIndication;
}

const PASSED = 'passed';

function finding(
  name: Check['name'],
  outcome: Check['outcome'],
  code: string,
  message: string,
  subIndication?: SubIndication,
): Finding {
  return { check: { name, outcome, code, message }, ...(subIndication && { subIndication }) };
}

function structureFailed(problem: { code: string; message: string }): Finding {
  const subIndication =
    problem.code === 'CERTIFICATE_MISSING' ? 'NO_SIGNING_CERTIFICATE_FOUND' : 'FORMAT_FAILURE';
  return finding('structure', 'failed', problem.code, problem.message, subIndication);
}

function findingsOf(evidence: Evidence, opened: OpenedSignature): Finding[] {
  const { verdict } = opened;
  return [
    finding(
      'structure',
      PASSED,
      'STRUCTURE_SOUND',
      'The seal leaves out nothing but its own signature, which can be read.',
    ),
    verdict.messageDigest && verdict.contentType
      ? finding('digest', PASSED, 'DIGEST_EQUAL', 'The sealed content is as it was when it was sealed.')
      : finding(
          'digest',
          'failed',
          'DIGEST_DIFFERS',
          'The sealed content was changed after it was sealed.',
          'HASH_FAILURE',
        ),
    signingCertificate(verdict),
    !verdict.algorithms
      ? finding(
          'signature',
          'failed',
          'ALGORITHMS_DISAGREE',
          'The algorithms of the signature are not accepted here, or contradict each other.',
          'SIG_CRYPTO_FAILURE',
        )
      : verdict.signature
        ? finding(
            'signature',
            PASSED,
            'SIGNATURE_VERIFIES',
            "The signature was made with the key of the sealer's certificate.",
          )
        : finding(
            'signature',
            'failed',
            'SIGNATURE_DIFFERS',
            "The signature was not made with the key of the sealer's certificate.",
            'SIG_CRYPTO_FAILURE',
          ),
    chain(evidence, opened),
    registry(evidence),
    coverage(evidence),
  ];
}

function signingCertificate(verdict: SignerInfoVerdict): Finding {
  return verdict.signingCertificate
    ? finding(
        'signing-certificate',
        PASSED,
        'CERTIFICATE_NAMED',
        'The signature itself names the certificate it was made with.',
      )
    : finding(
        'signing-certificate',
        'failed',
        'CERTIFICATE_NOT_NAMED',
        'The signature does not name this certificate: another may have been put in its place.',
        'SIG_CONSTRAINTS_FAILURE',
      );
}

/** Why a chain does not hold, as a sentence, and what follows from it. */
const CHAIN_FAILURES: Readonly<
  Record<PathFailureReason, readonly [message: string, subIndication: SubIndication]>
> = {
  ISSUER_NOT_FOUND: [
    'The certificate was not issued by an authority that is trusted here.',
    'NO_CERTIFICATE_CHAIN_FOUND',
  ],
  SEARCH_LIMIT: ['The chain of certificates is longer than is followed here.', 'NO_CERTIFICATE_CHAIN_FOUND'],
  // Without a time-stamp nobody can tell whether the seal was put on while the certificate was valid.
  EXPIRED: [
    'A certificate has expired, and no time-stamp proves that the seal is older.',
    'OUT_OF_BOUNDS_NO_POE',
  ],
  NOT_YET_VALID: ['A certificate is not valid yet.', 'OUT_OF_BOUNDS_NO_POE'],
  SIGNATURE_INVALID: ['A certificate was not signed by its issuer.', 'CERTIFICATE_CHAIN_GENERAL_FAILURE'],
  ALGORITHM_UNSUPPORTED: [
    'A certificate is signed in a way that is not accepted here.',
    'CERTIFICATE_CHAIN_GENERAL_FAILURE',
  ],
  NOT_A_CA: ['A certificate was issued by one that may not issue any.', 'CERTIFICATE_CHAIN_GENERAL_FAILURE'],
  PATH_LEN_EXCEEDED: [
    'An authority was allowed fewer authorities below it.',
    'CERTIFICATE_CHAIN_GENERAL_FAILURE',
  ],
  KEY_CERT_SIGN_MISSING: [
    'A certificate was issued with a key that may not sign certificates.',
    'CERTIFICATE_CHAIN_GENERAL_FAILURE',
  ],
  CRITICAL_EXTENSION_UNKNOWN: [
    'A certificate has a critical extension that is not known here.',
    'CERTIFICATE_CHAIN_GENERAL_FAILURE',
  ],
};

function chain({ roots, intermediates, revoked, at }: Evidence, opened: OpenedSignature): Finding {
  const result = buildPath(opened.certificate, [...opened.certificates, ...intermediates], roots, at);
  if (result.ok) {
    if (result.path.some((certificate) => revoked.has(fingerprintOf(certificate))))
      return finding(
        'chain',
        'failed',
        'CERTIFICATE_REVOKED',
        'A certificate was revoked, and no time-stamp proves that the seal was put on before.',
        'REVOKED',
      );
    const { keyUsage } = opened.certificate.extensions;
    const maySign = !keyUsage || keyUsage.includes('digitalSignature') || keyUsage.includes('nonRepudiation');
    return maySign
      ? finding(
          'chain',
          PASSED,
          'CHAIN_TRUSTED',
          'The certificate leads to a root that is trusted here and is valid now.',
        )
      : finding(
          'chain',
          'undecided',
          'KEY_USAGE',
          'The certificate is not meant for signatures.',
          'CERTIFICATE_CHAIN_GENERAL_FAILURE',
        );
  }
  const { reason } = result.failures[0];
  const [message, subIndication] = CHAIN_FAILURES[reason];
  return finding('chain', 'undecided', reason, message, subIndication);
}

function registry({ registered }: Evidence): Finding {
  switch (registered?.state) {
    case 'active':
      return finding('registry', PASSED, 'SEAL_ACTIVE', 'The seal is registered and active.');
    case undefined:
      return finding(
        'registry',
        'undecided',
        'SEAL_NOT_REGISTERED',
        'The seal is not in this registry.',
        'NO_CERTIFICATE_CHAIN_FOUND',
      );
    case 'suspended':
      return finding('registry', 'undecided', 'SEAL_SUSPENDED', 'The seal is suspended.', 'REVOKED');
    case 'expired':
      return finding(
        'registry',
        'undecided',
        'SEAL_EXPIRED',
        'The seal has expired, and no time-stamp proves that it was put on before.',
        'OUT_OF_BOUNDS_NO_POE',
      );
    case 'revoked':
    case 'destroyed':
      return finding(
        'registry',
        'failed',
        'SEAL_REVOKED',
        'The seal was revoked, and no time-stamp proves that it was put on before.',
        'REVOKED',
      );
  }
}

function coverage({ signature, accountedFor }: Evidence): Finding {
  if (signature.problem) return structureFailed(signature.problem);
  if (signature.coversWholeDocument)
    return finding('coverage', PASSED, 'WHOLE_DOCUMENT', 'The seal covers the whole document.');
  if (accountedFor && signature.coversWholeRevision)
    return finding(
      'coverage',
      PASSED,
      'LATER_SEAL',
      'What was added after this seal is covered by a later one.',
    );
  return finding(
    'coverage',
    'undecided',
    'CHANGED_AFTER_SEALING',
    `${signature.bytesAfter} bytes were added to the document after it was sealed, and no later seal covers them.`,
    'DOCUMENT_EXTENDED',
  );
}

function signerOf(certificate: Certificate): NonNullable<SealVerdict['signer']> {
  const { rdns, rfc4514 } = certificate.subject;
  const valueOf = (
    type: 'organizationName' | 'organizationIdentifier' | 'organizationalUnitName' | 'commonName',
  ) => rdns.find((rdn) => rdn[type] !== undefined)?.[type];
  const [organisation, organisationIdentifier, unit, name] = [
    valueOf('organizationName'),
    valueOf('organizationIdentifier'),
    valueOf('organizationalUnitName'),
    valueOf('commonName'),
  ];
  return {
    ...(organisation !== undefined && { organisation }),
    ...(organisationIdentifier !== undefined && { organisationIdentifier }),
    ...(unit !== undefined && { unit }),
    ...(name !== undefined && { name }),
    subject: rfc4514,
  };
}
