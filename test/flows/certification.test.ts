import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StoredCertificate } from '../../src/certification/index.ts';
import type { Unit } from '../../src/organisations/index.ts';
import {
  derToPem,
  parseCertificate,
  parseCrl,
  parseOcspResponse,
  parseTimeStampResponse,
} from '../../src/pki/index.ts';
import { freePort } from '../setup/services.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { folder, openssl, opensslSays } from '../pki/support.ts';

let world: TestApp;
let seal: StoredCertificate;
let revoked: StoredCertificate;

beforeAll(async () => {
  // With an origin of its own, so that certificates name the responder though this one is at a loopback address.
  const port = await freePort();
  world = await startApp({
    env: { PORT: String(port), PKI_ORIGIN: `http://localhost:${port}` },
  });
  const { organisations } = world.app;
  const organisation = await organisations.found(
    { unifiedSocialCreditCode: '91330106MADEMYXKJ3', name: '云栖示例' },
    'system',
  );
  const unit = await organisations.createUnit(organisation, '行政部', 'system');
  [seal, revoked] = [await register(unit, '云栖示例有限公司'), await register(unit, '作废公章')];
  await world.app.db.transaction((tx) =>
    world.app.certification.certificates.revoke(tx, {
      certificateId: revoked.id,
      reason: 'cessationOfOperation',
      actor: 'operator',
    }),
  );
  await world.app.certification.maintain();
});
afterAll(() => world.stop());

async function register(unit: Unit, name: string): Promise<StoredCertificate> {
  const { seals, certification } = world.app;
  const { certificateId } = await seals.registry.register({ unit, name }, 'system');
  const found = await certification.certificates.find(certificateId);
  if (!found) throw new Error('no certificate');
  return found;
}

/** Follows the addresses in the certificate, as a verifier does that has the root alone. */
async function fetched(certificate: StoredCertificate['certificate']) {
  const { authorityInfoAccess, cRLDistributionPoints } = certificate.extensions;
  const get = async (url = '') => {
    const response = await fetch(url);
    expect(response.status).toBe(200);
    return {
      type: response.headers.get('content-type'),
      bytes: Buffer.from(await response.arrayBuffer()),
      response,
    };
  };
  const [ca, crl] = [await get(authorityInfoAccess?.caIssuers[0]), await get(cRLDistributionPoints?.[0])];
  const root = await (await fetch(`${world.origin}/api/v1/trust-anchors`)).text();
  return { ca, crl, root, ocsp: authorityInfoAccess?.ocsp[0] ?? '' };
}

/** OpenSSL as a client of this process: it must not be waited for on this thread. */
function opensslAsks(...args: string[]): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn('openssl', args);
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)));
    child.on('close', () => resolve(said));
  });
}

describe('the addresses in a certificate', () => {
  test('lead to its issuer and its list, under the media types of RFC 2585 and RFC 5280', async () => {
    const { ca, crl, root } = await fetched(seal.certificate);
    expect(ca.type).toBe('application/pkix-cert');
    expect(crl.type).toBe('application/pkix-crl');
    expect(crl.response.headers.get('cache-control')).toBe('public, max-age=300');
    expect(parseCertificate(ca.bytes).subject.der).toEqual(seal.certificate.issuer.der);
    expect(parseCrl(crl.bytes).revokedCertificates).toHaveLength(1);
    const rootCertificate = parseCertificate(
      Buffer.from(root.replace(/-----.*-----/g, '').replace(/\s/g, ''), 'base64'),
    );
    const rootList = parseCertificate(ca.bytes).extensions.cRLDistributionPoints?.[0] ?? '';
    const lists = [crl.bytes, Buffer.from(await (await fetch(rootList)).arrayBuffer())];
    const files = folder();
    const verify = (leaf: StoredCertificate) =>
      opensslSays(
        'verify',
        '-crl_check_all',
        '-CAfile',
        files.write('root.pem', derToPem('CERTIFICATE', rootCertificate.der)),
        '-untrusted',
        files.write('ca.pem', derToPem('CERTIFICATE', ca.bytes)),
        '-CRLfile',
        files.write('crls.pem', lists.map((each) => derToPem('X509 CRL', each)).join('')),
        files.write('leaf.pem', derToPem('CERTIFICATE', leaf.certificate.der)),
      );
    expect(verify(seal)).toContain('leaf.pem: OK');
    expect(verify(revoked)).toContain('certificate revoked');
  });

  test('lead to a responder that openssl ocsp asks, with and without nonce, by SHA-1 and SHA-256', async () => {
    const { ca, root, ocsp } = await fetched(seal.certificate);
    const files = folder();
    const caPem = files.write('ca.pem', derToPem('CERTIFICATE', ca.bytes));
    const ask = (leaf: StoredCertificate, ...more: string[]) =>
      opensslAsks(
        'ocsp',
        '-url',
        ocsp,
        '-CAfile',
        files.write('root.pem', root),
        '-issuer',
        caPem,
        ...more,
        '-cert',
        files.write('leaf.pem', derToPem('CERTIFICATE', leaf.certificate.der)),
      );
    for (const more of [[], ['-no_nonce'], ['-sha256']]) {
      const good = await ask(seal, ...more);
      expect(good).toContain('Response verify OK');
      expect(good).toContain('leaf.pem: good');
      expect(good).not.toContain('WARNING');
      const bad = await ask(revoked, ...more);
      expect(bad).toContain('Response verify OK');
      expect(bad).toContain('leaf.pem: revoked');
      expect(bad).toContain('Reason: cessationOfOperation');
    }
  });
});

test('the responder answers GET as RFC 5019 has it, for caches on the way', async () => {
  const { ca, ocsp } = await fetched(seal.certificate);
  const files = folder();
  const args = ['-issuer', files.write('ca.pem', derToPem('CERTIFICATE', ca.bytes)), '-no_nonce'];
  openssl(
    'ocsp',
    ...args,
    '-cert',
    files.write('leaf.pem', derToPem('CERTIFICATE', seal.certificate.der)),
    '-reqout',
    files.path('q'),
  );
  const base64 = files.read('q').toString('base64');
  const response = await fetch(`${ocsp}/${encodeURIComponent(base64)}`);
  expect(response.status).toBe(200);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'application/ocsp-response',
    'cache-control': 'max-age=1800, public, no-transform, must-revalidate',
  });
  expect(Date.parse(response.headers.get('expires') ?? '')).toBeGreaterThan(Date.now());
  const read = parseOcspResponse(Buffer.from(await response.arrayBuffer()));
  expect(read).toMatchObject({ basic: { responses: [{ certStatus: { status: 'good' } }] } });
  // Some clients leave slashes as they are.
  const bare = await fetch(`${ocsp}/${base64.replaceAll('+', '%2B').replaceAll('=', '%3D')}`);
  expect(parseOcspResponse(Buffer.from(await bare.arrayBuffer())).responseStatus).toBe('successful');
  for (const rest of ['x', '%00', 'AAAA', '%E0%A4%A', 'A'.repeat(7000)]) {
    const refusal = await fetch(`${ocsp}/${rest}`);
    expect(refusal.status).toBe(200);
    expect(refusal.headers.get('cache-control')).toBe('no-store');
    expect(parseOcspResponse(Buffer.from(await refusal.arrayBuffer())).responseStatus).toBe(
      'malformedRequest',
    );
  }
});

test('the time-stamping authority answers openssl ts, and refuses in its own words', async () => {
  const files = folder();
  const data = files.write('data', '文件');
  openssl('ts', '-query', '-data', data, '-sha256', '-cert', '-out', files.path('q'));
  const post = (body: Buffer, type = 'application/timestamp-query', path = '/pki/tsa') =>
    fetch(`${world.origin}${path}`, {
      method: 'POST',
      body: new Uint8Array(body),
      headers: { 'content-type': type },
    });
  const response = await post(files.read('q'));
  expect(response.headers.get('content-type')).toBe('application/timestamp-reply');
  const reply = Buffer.from(await response.arrayBuffer());
  const root = files.write('root.pem', await (await fetch(`${world.origin}/api/v1/trust-anchors`)).text());
  const verify = (file: string) =>
    opensslSays('ts', '-verify', '-in', files.write('r', reply), '-data', file, '-CAfile', root);
  expect(verify(data)).toContain('Verification: OK');
  expect(verify(files.write('other', 'x'))).toContain('Verification: FAILED');
  expect((await post(files.read('q'), undefined, '/pki/tsa/p-256')).status).toBe(200);
  expect((await post(files.read('q'), undefined, '/pki/tsa/rsa')).status).toBe(404);
  const garbage = await post(Buffer.from('garbage'));
  expect(garbage.status).toBe(200);
  expect(parseTimeStampResponse(Buffer.from(await garbage.arrayBuffer())).failInfo).toEqual([
    'badDataFormat',
  ]);
  expect((await post(files.read('q'), 'application/json')).status).toBe(415);
  expect((await post(Buffer.alloc(16_385))).status).toBe(413);
});

test.each([
  ['GET', '/pki', 404],
  ['GET', '/pki/', 404],
  ['GET', '/pki/crl/cert_00000000000000000000000000.crl', 404],
  ['GET', '/pki/ca/cert_00000000000000000000000000.cer', 404],
  ['GET', "/pki/crl/'.crl", 404],
  ['GET', '/pki/ocsp', 405],
  ['PUT', '/pki/ocsp', 405],
  ['GET', '/pki/tsa', 405],
  ['POST', '/pki/crl/cert_00000000000000000000000000.crl', 405],
  ['POST', '/pki/ocsp', 415],
])('%s %s is answered with %i', async (method, path, status) => {
  const response = await fetch(`${world.origin}${path}`, { method });
  expect(response.status).toBe(status);
  expect(response.headers.get('content-type')).toContain('application/problem+json');
});
