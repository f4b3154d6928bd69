/** Certification paths (RFC 5280 section 6): from a certificate up to a root that was trusted beforehand, as of a given time. */
import { suits, verifySignature } from './algorithms.ts';
import type { Certificate } from './x509.ts';

/** Longest path, in certificates. */
const maxPathLength = 8;
/** Most signatures verified for one path: strangers can send certificates that issue each other in every way. */
const maxSignatureChecks = 64;

/** Why a certificate cannot be in a path. The clause is of RFC 5280. */
export type PathFailureReason =
  /** 6.1.3 (a)(2): the time is before notBefore. */
  | 'NOT_YET_VALID'
  /** 6.1.3 (a)(2): the time is after notAfter. */
  | 'EXPIRED'
  /** 6.1.3 (a)(1): the certificate's signature is not by the key of the issuer at hand. */
  | 'SIGNATURE_INVALID'
  /** 6.1.3 (a)(1): signed under an algorithm, or with a key, that this program does not accept. */
  | 'ALGORITHM_UNSUPPORTED'
  /** 6.1.3 (a)(4): no certificate bears the issuer's name. */
  | 'ISSUER_NOT_FOUND'
  /** 6.1.4 (k): an issuer is not a CA. */
  | 'NOT_A_CA'
  /** 6.1.4 (l), (m): more CAs below than pathLenConstraint allows. */
  | 'PATH_LEN_EXCEEDED'
  /** 6.1.4 (n): an issuer's keyUsage lacks keyCertSign. */
  | 'KEY_CERT_SIGN_MISSING'
  /** 6.1.4 (o), 6.1.5 (f): a critical extension that this program does not know. */
  | 'CRITICAL_EXTENSION_UNKNOWN'
  /** The search was given up: the path is too long, or there are too many ways. */
  | 'SEARCH_LIMIT';

export interface PathFailure {
  readonly reason: PathFailureReason;
  /** The certificate at fault. */
  readonly certificate: Certificate;
  /** How many certificates stood in the path when it failed; 0 is the leaf itself. */
  readonly depth: number;
}

export type PathResult =
  /** From the leaf to the root, both included. */
  | { readonly ok: true; readonly path: readonly Certificate[] }
  /** Every way that was tried, the one that came farthest first. */
  | { readonly ok: false; readonly failures: readonly [PathFailure, ...PathFailure[]] };

/**
 * Looks for a path from `leaf` to one of `roots` in which every rule of RFC 5280 section 6.1 that applies holds. Roots are held to the
 * same rules as other CAs, except that nobody signs for them. What the leaf may be used for (keyUsage, extKeyUsage), and
 * revocation, are the caller's to judge. Names match octet for octet; key identifiers only say where to look first.
 * @param intermediates Certificates that may be of use; not trusted.
 * @param roots Certificates trusted beforehand.
 * @param at The time for which the path shall hold.
 * @returns A value in every case: a bad chain is no exception.
 */
export function buildPath(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  roots: readonly Certificate[],
  at: Date,
): PathResult {
  if (Number.isNaN(at.getTime())) throw new TypeError('A path is built for a valid time');
  const isRoot = (certificate: Certificate): boolean =>
    roots.some((root) => root.der.equals(certificate.der));
  // Roots first: they end the search.
  const issuers = [...roots, ...intermediates.filter((certificate) => !isRoot(certificate))];
  const failures: PathFailure[] = [];
  let signatureChecks = 0;

  /** @param path From the leaf on, every link verified. @returns The whole path, if there is one. */
  function extend(path: readonly [Certificate, ...Certificate[]]): readonly Certificate[] | undefined {
    const subject = path.at(-1) ?? path[0];
    const fail = (reason: PathFailureReason, certificate: Certificate): undefined => {
      failures.push({ reason, certificate, depth: path.length });
    };
    if (isRoot(subject)) return path;
    const candidates = candidatesFor(subject, issuers).filter(
      (issuer) => !path.some((seen) => isSameCa(seen, issuer)),
    );
    if (candidates.length === 0) return fail('ISSUER_NOT_FOUND', subject);
    for (const issuer of candidates) {
      if (path.length >= maxPathLength || signatureChecks >= maxSignatureChecks)
        return fail('SEARCH_LIMIT', subject);
      const atFault = problemOf(issuer, at) ?? problemAsIssuer(issuer, path);
      if (atFault) {
        fail(atFault, issuer);
        continue;
      }
      signatureChecks++;
      const badLink = problemOfSignature(subject, issuer);
      if (badLink) {
        fail(badLink, subject);
        continue;
      }
      const found = extend([...path, issuer]);
      if (found) return found;
    }
    return undefined;
  }

  const atFault = problemOf(leaf, at);
  const path = atFault ? undefined : extend([leaf]);
  if (path) return { ok: true, path };
  const [first, ...rest] = failures.toSorted((a, b) => b.depth - a.depth);
  const reason = atFault ?? 'ISSUER_NOT_FOUND';
  return { ok: false, failures: [first ?? { reason, certificate: leaf, depth: 0 }, ...rest] };
}

/** Certificates with the issuer's name, the ones whose key identifier agrees first (RFC 4158 3.5.12). */
function candidatesFor(subject: Certificate, issuers: readonly Certificate[]): Certificate[] {
  const wanted = subject.extensions.authorityKeyIdentifier;
  const distance = ({ extensions: { subjectKeyIdentifier } }: Certificate): number =>
    wanted && subjectKeyIdentifier && Buffer.compare(wanted, subjectKeyIdentifier) === 0 ? 0 : 1;
  return issuers
    .filter((issuer) => issuer.subject.der.equals(subject.issuer.der))
    .toSorted((a, b) => distance(a) - distance(b));
}

/** The same name and key: a second time in a path it would only go round in a circle (RFC 4158 2.4.1). */
function isSameCa(one: Certificate, other: Certificate): boolean {
  return (
    one.subject.der.equals(other.subject.der) && one.subjectPublicKeyInfo.equals(other.subjectPublicKeyInfo)
  );
}

function problemOf(certificate: Certificate, at: Date): PathFailureReason | undefined {
  if (at < certificate.notBefore) return 'NOT_YET_VALID';
  // notAfter is a whole second, and valid to its end.
  if (at.getTime() >= certificate.notAfter.getTime() + 1000) return 'EXPIRED';
  if (certificate.unrecognizedCriticalExtensions.length > 0) return 'CRITICAL_EXTENSION_UNKNOWN';
  return undefined;
}

/** @param path What stands below the issuer, the leaf first. */
function problemAsIssuer(issuer: Certificate, path: readonly Certificate[]): PathFailureReason | undefined {
  const { basicConstraints, keyUsage } = issuer.extensions;
  if (!basicConstraints?.cA) return 'NOT_A_CA';
  if (keyUsage && !keyUsage.includes('keyCertSign')) return 'KEY_CERT_SIGN_MISSING';
  // A CA's certificate for itself (new key, same name) takes no step down; the leaf is not counted either.
  const below = path.slice(1).filter((ca) => !ca.subject.der.equals(ca.issuer.der)).length;
  if (below > (basicConstraints.pathLenConstraint ?? Infinity)) return 'PATH_LEN_EXCEEDED';
  return undefined;
}

function problemOfSignature(subject: Certificate, issuer: Certificate): PathFailureReason | undefined {
  const { signatureAlgorithm: algorithm, tbsCertificate, signature } = subject;
  if (!algorithm || !suits(algorithm, issuer.publicKey)) return 'ALGORITHM_UNSUPPORTED';
  return verifySignature(algorithm, issuer.publicKey, tbsCertificate, signature)
    ? undefined
    : 'SIGNATURE_INVALID';
}
