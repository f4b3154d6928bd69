/** Fuzzing of `src/pki`: valid messages of every kind, broken in a random but repeatable way, must be judged and never bring the reader down. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  buildPath,
  judgeCrl,
  judgeOcspResponse,
  judgeTimeStamp,
  parseCertificate,
  parseCertificationRequest,
  parseCrl,
  parseOcspRequest,
  parseOcspResponse,
  parseSignedData,
  parseTimeStampRequest,
  parseTimeStampResponse,
  verifyPossession,
  verifySignature,
  verifySignerInfo,
} from '../../src/pki/index.ts';
import { AppError } from '../../src/platform/errors.ts';
import { toDer, toTree, type Node } from '../pki/tree.ts';

/** A message of this size takes microseconds; longer than this is a hang in the making. */
const maxMs = 1000;
const at = new Date('2026-06-01T12:00:00Z');
const contentDigest = createHash('sha256').update('content').digest();
const messageImprint = { hashAlgorithm: 'sha256', hashedMessage: contentDigest } as const;

const files = {
  root: read('root'),
  ca: read('ca'),
  seal: read('seal'),
  detached: read('detached'),
  openssl: read('openssl'),
  authority: read('authority'),
  leaf: read('leaf'),
  request: read('request'),
  crl: read('crl'),
  ocspRequest: read('ocsp-request'),
  ocspResponse: read('ocsp-response'),
  timestampRequest: read('timestamp-request'),
  timestampResponse: read('timestamp-response'),
};
const corpus = Object.values(files);
const roots = [parseCertificate(files.root)];
const intermediates = [parseCertificate(files.ca)];
const authority = parseCertificate(files.authority);
const leaf = parseCertificate(files.leaf);

/** What was really signed: the only octets that may ever verify. */
const genuine = {
  certificates: [files.root, files.ca, files.seal].map((each) => parseCertificate(each).tbsCertificate),
  attributes: [files.detached, files.openssl].map(
    (each) => parseSignedData(each).signerInfo.signedAttributes.der,
  ),
  request: parseCertificationRequest(files.request).certificationRequestInfo,
  crl: parseCrl(files.crl).tbsCertList,
  ocspResponse: basicOf(files.ocspResponse)?.tbsResponseData,
  timestamp: parseTimeStampResponse(files.timestampResponse).token?.content,
};

function read(name: string): Buffer {
  const text = readFileSync(new URL(`../pki/vectors/${name}.pem`, import.meta.url), 'utf8');
  return Buffer.from(text.replace(/[^]*-----BEGIN.*|-----END.*/g, ''), 'base64');
}

function basicOf(octets: Buffer) {
  const response = parseOcspResponse(octets);
  return response.responseStatus === 'successful' ? response.basic : undefined;
}

/** Each reads and judges the octets as one kind of message. @returns whether they are one. */
const judges: Readonly<Record<string, (octets: Buffer) => boolean>> = {
  certificate: judgeCertificate,
  'CMS message': judgeMessage,
  'certification request': judgeRequest,
  CRL: judgeList,
  'OCSP request': (octets) => valueOrAppError(() => parseOcspRequest(octets)) !== undefined,
  'OCSP response': judgeAnswer,
  'time-stamp request': (octets) => valueOrAppError(() => parseTimeStampRequest(octets)) !== undefined,
  'time-stamp response': judgeTimeStampResponse,
};

// What is to be broken holds as long as it is whole: otherwise the run would prove nothing.
if (corpus.some((octets) => !Object.values(judges).some((judge) => judge(octets))))
  throw new Error('A message of the corpus is of no kind');

/**
 * Reads and judges mutated messages.
 * @param iterations How many mutations; each is read as a message of every kind.
 * @param seed Decides every mutation: the same seed repeats the same run.
 * @throws {Error} with seed, iteration and octets, when reading ends in anything but a value or an `AppError`, takes too long, or when
 * something is accepted that is not DER or was never signed.
 */
export function fuzzPki(iterations: number, seed: number): { runs: number; accepted: number } {
  const random = randomSource(seed);
  let accepted = 0;
  for (let iteration = 0; iteration < iterations; iteration++) {
    const octets = mutate(random);
    const start = performance.now();
    try {
      for (const [kind, judge] of Object.entries(judges)) {
        if (!judge(octets)) continue;
        accepted++;
        if (!toDer(toTree(octets)).equals(octets)) throw new Error(`A ${kind} that is not DER was accepted`);
      }
      const took = performance.now() - start;
      if (took > maxMs) throw new Error(`It took ${took} ms`);
    } catch (cause) {
      const repeat = `seed ${seed}, iteration ${iteration}, octets ${octets.toString('hex')}`;
      throw new Error(`Fuzzing of src/pki failed: ${repeat}`, { cause });
    }
  }
  return { runs: iterations, accepted };
}

function judgeCertificate(octets: Buffer): boolean {
  const certificate = valueOrAppError(() => parseCertificate(octets));
  if (!certificate) return false;
  const result = buildPath(certificate, intermediates, roots, at);
  if (result.ok && !genuine.certificates.some((signed) => signed.equals(certificate.tbsCertificate)))
    throw new Error('A path to a certificate that was never signed');
  for (const algorithm of ['ecdsa-with-SHA256', 'sha256WithRSAEncryption', 'ES256'] as const)
    verifySignature(algorithm, certificate.publicKey, certificate.tbsCertificate, certificate.signature);
  buildPath(certificate, [certificate, ...intermediates], roots, at);
  return true;
}

function judgeMessage(octets: Buffer): boolean {
  const signed = valueOrAppError(() => parseSignedData(octets));
  if (!signed) return false;
  const { valid, signerCertificate } = verifySignerInfo(signed, contentDigest);
  const isOriginal = genuine.attributes.some((each) => each.equals(signed.signerInfo.signedAttributes.der));
  if (valid && !isOriginal) throw new Error('A seal over attributes that were never signed');
  if (signerCertificate) buildPath(signerCertificate, signed.certificates, roots, at);
  return true;
}

function judgeRequest(octets: Buffer): boolean {
  const request = valueOrAppError(() => parseCertificationRequest(octets));
  if (request && verifyPossession(request) && !request.certificationRequestInfo.equals(genuine.request))
    throw new Error('A certification request that was never signed');
  return request !== undefined;
}

function judgeList(octets: Buffer): boolean {
  const crl = valueOrAppError(() => parseCrl(octets));
  if (crl && judgeCrl(crl, leaf, authority, at).status !== 'unknown' && !crl.tbsCertList.equals(genuine.crl))
    throw new Error('A list that was never signed');
  return crl !== undefined;
}

function judgeAnswer(octets: Buffer): boolean {
  const response = valueOrAppError(() => parseOcspResponse(octets));
  if (response?.responseStatus !== 'successful') return response !== undefined;
  const { basic } = response;
  const verdict = judgeOcspResponse(basic, leaf.serialNumber, { issuer: authority, at });
  if (!verdict.problem && !(genuine.ocspResponse && basic.tbsResponseData.equals(genuine.ocspResponse)))
    throw new Error('An answer that was never signed');
  return true;
}

function judgeTimeStampResponse(octets: Buffer): boolean {
  const response = valueOrAppError(() => parseTimeStampResponse(octets));
  if (!response?.token) return response !== undefined;
  const { valid } = judgeTimeStamp(response.token, { messageImprint });
  if (valid && !(genuine.timestamp && response.token.content.equals(genuine.timestamp)))
    throw new Error('A time-stamp that was never signed');
  return true;
}

function valueOrAppError<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof AppError) return undefined;
    throw error;
  }
}

/** One to four changes to a message of the corpus: half of them to its octets, half to its tree, so that lengths stay true. */
function mutate(random: Random): Buffer {
  let octets = pick(random, corpus);
  for (let changes = 1 + random(4); changes > 0; changes--) {
    octets = random(2) === 0 ? mutateOctets(octets, random) : mutateTree(octets, random);
  }
  return octets;
}

function mutateOctets(original: Buffer, random: Random): Buffer {
  const octets = Buffer.from(original);
  const from = random(octets.length);
  const until = from + random(16);
  switch (random(6)) {
    case 0:
      octets[from] = random(256);
      return octets;
    case 1:
      octets[from] = (octets[from] ?? 0) ^ (1 << random(8));
      return octets;
    case 2:
      return octets.subarray(0, from);
    case 3:
      return Buffer.concat([octets.subarray(0, from), octets.subarray(until)]);
    case 4:
      return Buffer.concat([octets.subarray(0, until), octets.subarray(from)]);
    default:
      return Buffer.concat([
        octets.subarray(0, from),
        Buffer.of(0x30, 0x80 | random(8), random(256)),
        octets.subarray(from),
      ]);
  }
}

function mutateTree(original: Buffer, random: Random): Buffer {
  let tree: Node;
  try {
    tree = toTree(original);
  } catch {
    return mutateOctets(original, random);
  }
  const nodes = nodesOf(tree);
  const node = pick(random, nodes);
  const other = structuredClone(
    pick(random, random(4) === 0 ? nodesOf(toTree(pick(random, corpus))) : nodes),
  );
  switch (random(7)) {
    case 0:
      node.tag = random(4) === 0 ? random(256) : pick(random, nodes).tag;
      break;
    case 1:
      node.children?.splice(random(node.children.length + 1), random(2), other);
      break;
    case 2:
      node.children?.splice(random(node.children.length + 1), 1);
      break;
    case 3:
      node.children?.reverse();
      break;
    case 4:
      if (node.contents) node.contents = Buffer.alloc(random(40), random(256));
      break;
    case 5:
      if (node.contents) node.contents = mutateOctets(Buffer.concat([node.contents, Buffer.of(0)]), random);
      break;
    default:
      for (let depth = random(100); depth > 0; depth--) {
        const { tag, children, contents } = node;
        Object.assign(node, { tag: 0x30, contents: undefined, children: [{ tag, children, contents }] });
      }
  }
  return toDer(tree);
}

function nodesOf(node: Node): Node[] {
  return [node, ...(node.children ?? []).flatMap(nodesOf)];
}

/** A whole number from 0 to below `bound`. */
type Random = (bound: number) => number;

function pick<T>(random: Random, items: readonly T[]): T {
  const item = items[random(items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

/** Mulberry32: small, and the same everywhere. */
function randomSource(seed: number): Random {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % Math.max(bound, 1);
  };
}
