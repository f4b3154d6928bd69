/** Sealing and verifying over real HTTP, judged by other people's tools. */
import { readdirSync, readFileSync } from 'node:fs';
import { compactVerify, createRemoteJWKSet } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkChain } from '../../src/audit/index.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { newPerson, registerRelyingParty, signIn } from '../support/relying-party.ts';
import { openSealDesk, type SealDesk } from '../support/sealing.ts';
import { extractCms, opensslCms, pageCount, pdfsig, qpdfCheck, redShare } from '../support/validators.ts';

interface Verdict {
  indication: string;
  seals: {
    indication: string;
    subIndication?: string;
    intact: boolean;
    valid: boolean;
    trusted: boolean;
    sealStatus: string;
    signer?: { organisation?: string; unit?: string };
    checks: { name: string; outcome: string; code: string; message: string }[];
  }[];
}

const agreement = readFileSync('examples/documents/service-agreement.pdf');
/** Files of real producers; which ones, and how each was made, stands in the folder's README. */
const vectors = readdirSync('test/vectors/pdf')
  .filter((file) => file.endsWith('.pdf') && file !== 'encrypted.pdf')
  .map((file) => `test/vectors/pdf/${file}`);

let t: TestApp;
let desk: SealDesk;
let token: string;
let root: string;

beforeAll(async () => {
  t = await startApp();
  desk = await openSealDesk(t);
  token = await desk.token(desk.officers.administration);
  root = await desk.rootPem();
});
afterAll(async () => {
  await desk.rp.stop();
  await t.stop();
});

async function sealed(document: Uint8Array, options?: object): Promise<Buffer> {
  const response = await desk.seal(
    token,
    desk.seals.administration.id,
    document,
    options === undefined ? {} : { options },
  );
  if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
  return Buffer.from(await response.arrayBuffer());
}
const verdictOf = async (document: Uint8Array) => (await (await desk.verify(document)).json()) as Verdict;
const sealings = () =>
  t.app.db.query<{ n: number }>('SELECT count(*) AS n FROM sealings').then(([row]) => row?.n);

describe('a sealed PDF', () => {
  test('begins with the exact bytes of the original, and its place is told', async () => {
    const response = await desk.seal(token, desk.seals.administration.id, agreement);
    expect(response.status).toBe(201);
    expect(response.headers.get('content-type')).toBe('application/pdf');
    expect(response.headers.get('location')).toMatch(/^\/api\/v1\/sealings\/slg_[0-9a-z]{26}$/);
    const document = Buffer.from(await response.arrayBuffer());
    expect(document.subarray(0, agreement.length).equals(agreement)).toBe(true);
  });

  test.each(['examples/documents/service-agreement.pdf', ...vectors])(
    'made from %s satisfies pdfsig, qpdf and openssl, and shows the seal',
    async (path) => {
      const original = readFileSync(path);
      const document = await sealed(original);
      expect(document.subarray(0, original.length).equals(original)).toBe(true);
      const says = pdfsig(document, root);
      expect(says).toContain('Signature is Valid');
      expect(says).toContain('Certificate is Trusted');
      expect(says).toContain('ETSI.CAdES.detached');
      expect(says).toContain('Total document signed');
      expect(qpdfCheck(document)).toContain('No syntax or stream encoding errors found');
      expect(qpdfCheck(document)).not.toContain('WARNING');
      const { cms, content } = extractCms(document);
      expect(opensslCms(cms, content, root)).toMatch(/successful \(0\)$/);
      // A file that came with somebody else's signature keeps it: ours is the last.
      expect((await verdictOf(document)).seals.at(-1)?.indication).toBe('TOTAL-PASSED');
      const pages = pageCount(document);
      expect(redShare(document, pages)).toBeGreaterThan(redShare(original, pages) + 0.005);
    },
  );

  test('carries no signing time in the CMS, as PAdES asks, and names the signer as the certificate does', async () => {
    const { cms } = extractCms(await sealed(agreement, { reason: '同意本协议', location: '杭州' }));
    expect(cms.toString('latin1')).not.toContain(
      Buffer.from('060a2a864886f70d010905', 'hex').toString('latin1'),
    );
    expect(cms.toString('utf8')).toContain('NTRCN-91330106MADEMYXKJ3');
  });

  test('can be sealed again by another unit, and both seals hold', async () => {
    const first = await sealed(agreement);
    const other = await desk.token(desk.officers.finance);
    const response = await desk.seal(other, desk.seals.finance.id, first, {
      options: { place: { page: 'last', corner: 'bottom-left', x: 20, y: 25 } },
    });
    const both = Buffer.from(await response.arrayBuffer());
    expect(both.subarray(0, first.length).equals(first)).toBe(true);
    const verdict = await verdictOf(both);
    expect(verdict.indication).toBe('TOTAL-PASSED');
    expect(verdict.seals.map((seal) => seal.signer?.unit)).toEqual(['行政部', '财务部']);
    expect(pdfsig(both, root).match(/Signature is Valid/g)).toHaveLength(2);
  });
});

describe('verification', () => {
  test('gives a reason for every check', async () => {
    const verdict = await verdictOf(await sealed(agreement));
    expect(verdict).toMatchObject({
      indication: 'TOTAL-PASSED',
      seals: [{ intact: true, valid: true, trusted: true, sealStatus: 'active' }],
    });
    const [seal] = verdict.seals;
    expect(seal?.signer).toMatchObject({ organisation: '杭州云栖示例科技有限公司', unit: '行政部' });
    expect(seal?.checks.length).toBeGreaterThanOrEqual(5);
    for (const check of seal?.checks ?? [])
      expect(check).toMatchObject({
        outcome: 'passed',
        code: expect.stringMatching(/^[A-Z_]+$/) as string,
        message: expect.stringMatching(/\w{3}/) as string,
      });
  });

  test('finds one flipped byte of the content', async () => {
    const document = await sealed(agreement);
    const at = document.indexOf('stream') + 40;
    document[at] = (document[at] ?? 0) ^ 1;
    const verdict = await verdictOf(document);
    expect(verdict).toMatchObject({
      indication: 'TOTAL-FAILED',
      seals: [{ intact: false, subIndication: 'HASH_FAILURE' }],
    });
    expect(verdict.seals[0]?.checks.find((check) => check.outcome === 'failed')?.message).toMatch(/changed/i);
  });

  test('finds a changed signature value', async () => {
    const document = await sealed(agreement);
    const { cms } = extractCms(document);
    const hex = cms.toString('hex');
    const changed = Buffer.from(
      document.toString('latin1').replace(hex, hex.slice(0, -2) + (hex.endsWith('0') ? '01' : '00')),
      'latin1',
    );
    expect(await verdictOf(changed)).toMatchObject({
      indication: 'TOTAL-FAILED',
      seals: [{ intact: true, valid: false, subIndication: 'SIG_CRYPTO_FAILURE' }],
    });
  });

  test('tells what was added after the seal', async () => {
    const document = await sealed(agreement);
    const verdict = await verdictOf(
      Buffer.concat([document, Buffer.from('\n% a line that was not there\n')]),
    );
    expect(verdict.indication).not.toBe('TOTAL-PASSED');
    expect(verdict.seals[0]?.checks.find((check) => check.outcome !== 'passed')?.code).toBe(
      'CHANGED_AFTER_SEALING',
    );
  });

  test('does not trust a seal whose chain ends at a root of somebody else', async () => {
    const elsewhere = await startApp();
    const theirs = await openSealDesk(elsewhere);
    const response = await theirs.seal(
      await theirs.token(theirs.officers.administration),
      theirs.seals.administration.id,
      agreement,
    );
    const verdict = await verdictOf(Buffer.from(await response.arrayBuffer()));
    expect(verdict).toMatchObject({
      indication: 'INDETERMINATE',
      seals: [{ intact: true, valid: true, trusted: false, sealStatus: 'unknown' }],
    });
    await theirs.rp.stop();
    await elsewhere.stop();
  });

  test('does not pass a seal that the registry has revoked', async () => {
    const document = await sealed(agreement);
    await t.app.db.query(`UPDATE seals SET state = 'revoked' WHERE id = $1`, [desk.seals.administration.id]);
    expect(await verdictOf(document)).toMatchObject({
      indication: 'TOTAL-FAILED',
      seals: [{ sealStatus: 'revoked' }],
    });
    expect((await desk.seal(token, desk.seals.administration.id, agreement)).status).toBe(409);
    await t.app.db.query(`UPDATE seals SET state = 'active' WHERE id = $1`, [desk.seals.administration.id]);
  });

  test('says of a document without seals that it has none', async () => {
    expect(await verdictOf(agreement)).toEqual({ indication: 'NO-SEAL', seals: [] });
  });

  test('is open to everyone and answers what it cannot read with a code', async () => {
    for (const bytes of ['', 'hello', '%PDF-1.7\n', agreement.subarray(0, 5000)]) {
      const response = await desk.verify(Buffer.from(bytes));
      expect(response.status).toBe(422);
      expect(await response.json()).toMatchObject({
        code: expect.stringMatching(/^(NOT_A_PDF|PDF_DAMAGED)$/) as string,
        status: 422,
      });
    }
  });
});

describe('what cannot be sealed', () => {
  test.each([
    ['an encrypted PDF', () => readFileSync('test/vectors/pdf/encrypted.pdf'), 'PDF_ENCRYPTED'],
    ['a truncated PDF', () => agreement.subarray(0, agreement.length >> 1), 'PDF_DAMAGED'],
    ['a text', () => Buffer.from('this is not a PDF'), 'NOT_A_PDF'],
    ['nothing', () => Buffer.alloc(0), 'NOT_A_PDF'],
  ])('%s is answered with a code, and nothing is signed or recorded', async (_what, document, code) => {
    const before = await sealings();
    const response = await desk.seal(token, desk.seals.administration.id, document());
    expect(response.status).toBe(422);
    expect(response.headers.get('content-type')).toContain('application/problem+json');
    expect(await response.json()).toMatchObject({
      code,
      traceId: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
    });
    expect(await sealings()).toBe(before);
  });

  test.each([
    ['no JSON', '{', 'SEALING_OPTIONS_INVALID', 400],
    ['an unknown option', { colour: 'blue' }, 'SEALING_OPTIONS_INVALID', 400],
    [
      'a page that is not there',
      { place: { page: 99, corner: 'top-left', x: 0, y: 0 } },
      'PAGE_NOT_FOUND',
      422,
    ],
    [
      'a place outside the page',
      { place: { page: 1, corner: 'top-left', x: 4000, y: 0 } },
      'PLACE_OUTSIDE_PAGE',
      422,
    ],
  ])('options with %s are refused', async (_what, options, code, status) => {
    const response = await desk.seal(token, desk.seals.administration.id, agreement, { options });
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([status, code]);
  });

  test('a body that is no upload, has no document, or has more parts than expected', async () => {
    const post = (body: string | FormData, headers: Record<string, string> = {}) =>
      fetch(`${t.origin}/api/v1/seals/${desk.seals.administration.id}/sealings`, {
        method: 'POST',
        body,
        headers: { Authorization: `Bearer ${token}`, ...headers },
      });
    expect((await post('{}', { 'Content-Type': 'application/json' })).status).toBe(415);
    expect((await post('garbage', { 'Content-Type': 'multipart/form-data; boundary=x' })).status).toBe(400);
    expect((await post('garbage', { 'Content-Type': 'multipart/form-data' })).status).toBe(400);
    const empty = new FormData();
    expect(await (await post(empty)).json()).toMatchObject({ code: 'DOCUMENT_MISSING' });
    const text = new FormData();
    text.set('document', 'a text, not a file');
    expect((await post(text)).status).toBe(400);
    const two = new FormData();
    two.append('document', new Blob([agreement]), 'a.pdf');
    two.append('document', new Blob([agreement]), 'b.pdf');
    expect((await post(two)).status).toBe(400);
    const extra = new FormData();
    extra.set('document', new Blob([agreement]), 'a.pdf');
    extra.set('surprise', 'x');
    expect((await post(extra)).status).toBe(400);
  });

  test('a document over the limit is refused while it arrives', async () => {
    const small = await startApp({ env: { DOCUMENT_MAX_BYTES: '2000' } });
    const form = new FormData();
    form.set('document', new Blob([agreement]), 'a.pdf');
    const response = await fetch(`${small.origin}/api/v1/verifications`, { method: 'POST', body: form });
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      413,
      'DOCUMENT_TOO_LARGE',
    ]);
    await small.stop();
  });
});

describe('who may seal', () => {
  const attempt = async (
    authorization: string | undefined,
    sealId: string = desk.seals.administration.id,
  ) => {
    const form = new FormData();
    form.set('document', new Blob([agreement]), 'a.pdf');
    const response = await fetch(`${t.origin}/api/v1/seals/${sealId}/sealings`, {
      method: 'POST',
      body: form,
      headers: authorization === undefined ? {} : { Authorization: authorization },
    });
    return {
      status: response.status,
      code: ((await response.json()) as { code: string }).code,
      challenge: response.headers.get('www-authenticate'),
    };
  };

  test('nobody without a token, with an unknown one, or by another scheme', async () => {
    expect(await attempt(undefined)).toEqual({ status: 401, code: 'TOKEN_MISSING', challenge: 'Bearer' });
    expect(await attempt('Bearer unknown')).toEqual({
      status: 401,
      code: 'TOKEN_INVALID',
      challenge: 'Bearer error="invalid_token"',
    });
    expect((await attempt(`Basic ${btoa('a:b')}`)).code).toBe('TOKEN_MISSING');
  });

  test('nobody with a token that was made for userinfo, or that was revoked', async () => {
    const attemptAtRp = await signIn(desk.rp, new UserAgent(), desk.officers.administration, {
      scope: 'openid',
    });
    const forUserinfo = (await desk.rp.redeem(attemptAtRp.callback, attemptAtRp)).access_token;
    expect(await attempt(`Bearer ${forUserinfo}`)).toMatchObject({ status: 401, code: 'TOKEN_INVALID' });
    const brief = await desk.token(desk.officers.administration);
    const revocation = await fetch(`${t.origin}/revoke`, {
      method: 'POST',
      headers: { Authorization: `Basic ${btoa(`seal-desk:${desk.rp.secret}`)}` },
      body: new URLSearchParams({ token: brief }),
    });
    expect(revocation.status).toBe(200);
    expect(await attempt(`Bearer ${brief}`)).toMatchObject({ status: 401, code: 'TOKEN_INVALID' });
  });

  test('nobody after signing out, and no portal that is not registered for sealing', async () => {
    const browser = new UserAgent();
    const session = await signIn(desk.rp, browser, desk.officers.administration, {
      resource: `${t.origin}/api/v1`,
    });
    const { access_token: bound } = await desk.rp.redeem(session.callback, session);
    await browser.submit(await browser.get(`${t.origin}/end-session`), { logout: 'yes' }, '/confirm');
    expect(await attempt(`Bearer ${bound}`)).toMatchObject({ status: 401, code: 'TOKEN_INVALID' });

    const plain = await registerRelyingParty(t, {
      clientId: 'plain',
      scopes: ['openid'],
      scope: 'openid seals:use',
    });
    const refused = await new UserAgent().get(
      (await plain.begin({ resource: `${t.origin}/api/v1` })).url,
      plain.redirectUri,
    );
    expect(refused.url.searchParams.get('error')).toBe('invalid_target');
    await plain.stop();
  });

  test("an officer of another unit and a stranger learn nothing: the seal does not exist, as an invented one doesn't", async () => {
    const stranger = newPerson();
    await t.app.identity.register(stranger);
    const invented = await attempt(`Bearer ${token}`, 'seal_00000000000000000000000000');
    expect(invented).toMatchObject({ status: 404, code: 'SEAL_NOT_FOUND' });
    for (const person of [desk.officers.finance, stranger])
      expect(await attempt(`Bearer ${await desk.token(person)}`)).toEqual(invented);
    expect(await attempt(`Bearer ${token}`, desk.seals.finance.id)).toEqual(invented);
    expect(await attempt(`Bearer ${token}`, "seal_' OR 1=1 --")).toEqual(invented);
  });

  test('an officer sees the seals of the own unit alone', async () => {
    const response = await fetch(`${t.origin}/api/v1/seals`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    const { seals } = (await response.json()) as { seals: { id: string; code: string }[] };
    expect(seals).toHaveLength(1);
    expect(seals[0]).toMatchObject({
      id: desk.seals.administration.id,
      code: expect.stringMatching(/^330106\d{7}$/) as string,
    });
    // Whoever asks learns where the person works: that is theirs to see.
    const accountId = await t.app.identity.find(desk.officers.administration.identifier);
    const [release] = await t.app.oidc.own.releases.of(accountId ?? '', { limit: 1 });
    expect(release).toMatchObject({ clientId: desk.rp.clientId, way: 'api', claims: ['seals'] });
  });
});

describe('a mandate', () => {
  test('lets its agent use the seals that it names, each use on record, until it is revoked', async () => {
    const agent = newPerson();
    const { accountId: agentId } = await t.app.identity.register(agent);
    const own = await desk.token(agent);
    expect((await desk.seal(own, desk.seals.administration.id, agreement)).status).toBe(404);
    const unit = await t.app.organisations.unit(desk.seals.administration.unitId);
    if (!unit) throw new Error('no unit');
    const mandate = await t.app.organisations.mandates.grant(
      {
        organisationId: unit.organisation.id,
        agentId,
        services: [],
        seals: [desk.seals.administration.id],
        purpose: '代签年度合同',
        validTo: new Date(Date.now() + 86_400_000),
      },
      'system',
    );
    const listed = await fetch(`${t.origin}/api/v1/seals`, { headers: { Authorization: `Bearer ${own}` } });
    expect(await listed.json()).toMatchObject({ seals: [{ id: desk.seals.administration.id }] });
    expect((await desk.seal(own, desk.seals.administration.id, agreement)).status).toBe(201);
    expect((await desk.seal(own, desk.seals.finance.id, agreement)).status).toBe(404);
    expect(await t.app.organisations.mandates.uses(mandate.id, { limit: 10 })).toMatchObject([
      { sealId: desk.seals.administration.id },
    ]);
    await t.app.organisations.mandates.revoke(mandate.id, 'system');
    expect((await desk.seal(own, desk.seals.administration.id, agreement)).status).toBe(404);
  });
});

describe('every use is on record', () => {
  test('with intent and result, digests and a receipt that the published keys verify', async () => {
    const response = await desk.seal(token, desk.seals.administration.id, agreement);
    const location = response.headers.get('location') ?? '';
    const record = (await (
      await fetch(t.origin + location, { headers: { Authorization: `Bearer ${token}` } })
    ).json()) as {
      state: string;
      documentDigest: string;
      sealedDigest: string;
      receipt: { entry: { type: string; detail: { sealedDigest: string } }; signature: string; hash: string };
    };
    expect(record).toMatchObject({
      state: 'completed',
      receipt: { entry: { type: 'sealing.completed', detail: { sealedDigest: record.sealedDigest } } },
    });
    const { payload } = await compactVerify(
      record.receipt.signature,
      createRemoteJWKSet(new URL(`${t.origin}/api/v1/audit/keys`)),
    );
    expect(JSON.parse(Buffer.from(payload).toString())).toMatchObject({ hash: record.receipt.hash });
    const rows = await t.app.db.query<{ type: string }>(
      'SELECT type FROM audit_events WHERE subject = $1 ORDER BY seq',
      [location.split('/').at(-1)],
    );
    expect(rows.map((row) => row.type)).toEqual(['sealing.intended', 'sealing.completed']);
  });

  test('and shown to whoever asked for it, to nobody else', async () => {
    const response = await desk.seal(token, desk.seals.administration.id, agreement);
    const other = await desk.token(desk.officers.finance);
    const answer = await fetch(t.origin + (response.headers.get('location') ?? ''), {
      headers: { Authorization: `Bearer ${other}` },
    });
    expect(answer.status).toBe(404);
  });

  test('a retry with the same key gets the same document and never signs again', async () => {
    const key = crypto.randomUUID();
    const before = (await sealings()) ?? 0;
    const answers = [];
    for (let i = 0; i < 3; i++)
      answers.push(await desk.seal(token, desk.seals.administration.id, agreement, { key }));
    const documents = await Promise.all(
      answers.map(async (answer) => Buffer.from(await answer.arrayBuffer()).toString('base64')),
    );
    expect(new Set(documents).size).toBe(1);
    expect(new Set(answers.map((answer) => answer.headers.get('location'))).size).toBe(1);
    expect(answers.map((answer) => answer.status)).toEqual([201, 201, 201]);
    expect(await sealings()).toBe(before + 1);
  });

  test('ten requests with one key at the same time sign once', async () => {
    const key = crypto.randomUUID();
    const before = (await sealings()) ?? 0;
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => desk.seal(token, desk.seals.administration.id, agreement, { key })),
    );
    expect(answers.every((answer) => [201, 409].includes(answer.status))).toBe(true);
    expect(answers.some((answer) => answer.status === 201)).toBe(true);
    expect(await sealings()).toBe(before + 1);
  });

  test('the same key for another document, another seal or other options is refused', async () => {
    const key = crypto.randomUUID();
    await desk.seal(token, desk.seals.administration.id, agreement, { key });
    const response = await desk.seal(token, desk.seals.administration.id, agreement, {
      key,
      options: { reason: 'x' },
    });
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      422,
      'IDEMPOTENCY_KEY_REUSED',
    ]);
  });

  test('the keys of two officers do not meet', async () => {
    const key = crypto.randomUUID();
    await desk.seal(token, desk.seals.administration.id, agreement, { key });
    const other = await desk.seal(await desk.token(desk.officers.finance), desk.seals.finance.id, agreement, {
      key,
    });
    expect(other.status).toBe(201);
  });

  test('and the chain of the log holds after all of this', async () => {
    expect(await checkChain(t.app.audit)).toMatchObject({ finding: undefined });
  });
});
