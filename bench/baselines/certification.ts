/**
 * How often one core certifies, answers and stamps: `node bench/baselines/certification.ts <database URL> <seconds> <rounds>` prints, for each act,
 * the rounds as acts per second of this process's own CPU. The rooms are the product's, with keys in custody, on a database of their own.
 */
import { createHash, createSecretKey, randomBytes } from 'node:crypto';
import { createAuditLog, type AuditLog } from '../../src/audit/index.ts';
import { createCertification } from '../../src/certification/index.ts';
import { extensionsOf, sealName, validityOf } from '../../src/certification/profile.ts';
import { createCustody, PROVIDER, type Custody } from '../../src/custody/index.ts';
import type { Unit } from '../../src/organisations/index.ts';
import {
  buildCertificate,
  buildOcspRequest,
  buildTimeStampRequest,
  certIdOf,
  keyIdentifier,
} from '../../src/pki/index.ts';
import { systemClock as clock } from '../../src/platform/clock.ts';
import { migrate } from '../../src/platform/db/migrate.ts';
import { connectPg } from '../../src/platform/db/pg.ts';
import { newId } from '../../src/platform/ids.ts';
import { createLogger } from '../../src/platform/logger.ts';

const [databaseUrl = '', secondsText = '0.7', roundsText = '7'] = process.argv.slice(2);
const logger = createLogger('error');
const admin = connectPg(databaseUrl, { poolSize: 1, logger });
const database = `certification_bench_${randomBytes(4).toString('hex')}`;
await admin.script(`CREATE DATABASE ${database}`);
const url = new URL(databaseUrl);
url.pathname = `/${database}`;
const db = connectPg(url.href, { poolSize: 10, logger });
try {
  await migrate(db);
  const audit: AuditLog = createAuditLog({
    db,
    clock,
    signer: () => Promise.reject(new Error('no receipt is asked for')),
  });
  const custody: Custody = createCustody({
    db,
    clock,
    audit,
    keyEncryptionKey: createSecretKey(randomBytes(32)),
  });
  const certification = createCertification({
    db,
    clock,
    audit,
    custody,
    logger,
    serviceName: 'Yinxin',
    origin: 'https://id.example.cn',
    namesResponder: true,
    hierarchies: ['p-256', 'sm2'],
    sealPolicy: '2.25.1',
    timeStampPolicy: '2.25.2',
    outsideAuthorities: undefined,
  });
  await db.transaction((tx) => certification.ensure(tx));
  const { certificates, ocsp, timeStamping } = certification;

  const unit = {
    id: newId('unit', clock.now()),
    name: '行政部',
    organisation: { name: '云栖示例', unifiedSocialCreditCode: '91330106MADEMYXKJ3' },
  } as unknown as Unit;
  const key = await db.transaction((tx) =>
    custody.generate(tx, { owner: unit.id, purpose: 'seal', actor: 'system' }),
  );
  const issue = () =>
    db.transaction((tx) =>
      certificates.issueSealCertificate(tx, { unit, sealName: '云栖示例有限公司', key, actor: 'system' }),
    );
  const seal = await issue();
  const issuing = (await certificates.authorities()).find(
    ({ hierarchy, profile }) => hierarchy === 'p-256' && profile === 'issuing',
  );
  if (!issuing) throw new Error('no authority');
  const signer = await custody.signer(PROVIDER, issuing.keyId, 'ecdsa-with-SHA256');
  const addresses = {
    certificate: 'https://id.example.cn/a',
    crl: 'https://id.example.cn/b',
    ocsp: 'https://id.example.cn/c',
  };
  const certId = certIdOf('sha1', issuing.certificate, seal.certificate.serialNumber);
  const query = buildTimeStampRequest({
    hashAlgorithm: 'sha256',
    hashedMessage: createHash('sha256').update('x').digest(),
    nonce: randomBytes(8),
    certReq: true,
  });
  const acts: Record<string, () => Promise<unknown>> = {
    certificate: () =>
      buildCertificate(
        {
          serialNumber: Buffer.concat([Buffer.of(0x5a), randomBytes(15)]),
          issuer: issuing.certificate.subject,
          subject: sealName(unit, '云栖示例有限公司'),
          ...validityOf('seal', clock.now(), issuing.certificate.notAfter),
          subjectPublicKey: key.publicKey,
          extensions: {
            ...extensionsOf('seal', addresses, '2.25.1'),
            subjectKeyIdentifier: keyIdentifier(key.publicKey),
            authorityKeyIdentifier: keyIdentifier(issuing.certificate.publicKey),
          },
        },
        signer,
      ),
    recorded: issue,
    'ocsp-nonce': () => ocsp.answer(buildOcspRequest([certId], randomBytes(32))),
    'ocsp-ready': () => ocsp.answer(buildOcspRequest([certId])),
    'time-stamp': () => timeStamping.answer(query),
    'time-stamp-sm2': () => timeStamping.answer(query, 'sm2'),
  };
  const results: Record<string, number[]> = {};
  for (const act of Object.values(acts)) await rate(act, Number(secondsText) / 2);
  for (let round = 0; round < Number(roundsText); round++)
    for (const [name, act] of Object.entries(acts))
      (results[name] ??= []).push(await rate(act, Number(secondsText)));
  console.log(JSON.stringify(results));
  await certification.stop();
} finally {
  await db.close();
  await admin.script(`DROP DATABASE ${database} WITH (FORCE)`);
  await admin.close();
}

/** Acts for so many seconds of the clock, ten at a time. @returns acts per second of CPU. */
async function rate(act: () => Promise<unknown>, seconds: number): Promise<number> {
  const until = performance.now() + seconds * 1000;
  const before = process.cpuUsage();
  let done = 0;
  await Promise.all(
    Array.from({ length: 10 }, async () => {
      while (performance.now() < until) {
        await act();
        done += 1;
      }
    }),
  );
  const { user, system } = process.cpuUsage(before);
  return done / ((user + system) / 1e6);
}
