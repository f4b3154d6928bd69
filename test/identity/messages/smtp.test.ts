import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { createSmtpCarrier } from '../../../src/identity/messages/smtp.ts';
import { Unacceptable } from '../../../src/platform/outbox.ts';
import { selfSigned } from '../../support/tls.ts';

/** A loopback address that is not taken for this machine: what holds for a mail server elsewhere holds for it. */
const ELSEWHERE = '127.0.0.2';
let tls: { key: string; certificate: string };
const closing: (() => void)[] = [];

beforeAll(() => {
  tls = selfSigned(ELSEWHERE);
});
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function mailServer(options: SMTPServerOptions = {}) {
  const received: { body: string; from: string; to: string[]; secure: boolean; user: unknown }[] = [];
  const server = new SMTPServer({
    key: tls.key,
    cert: tls.certificate,
    authOptional: true,
    logger: false,
    onAuth: ({ username, password }, _session, done) =>
      password === 'p@ss' ? done(null, { user: username }) : done(new Error('no')),
    onData(stream, { envelope, secure, user }, done) {
      const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address;
      let body = '';
      stream.setEncoding('utf8');
      stream.on('data', (chunk: string) => (body += chunk));
      stream.on('end', () => {
        received.push({ body, from, to: envelope.rcptTo.map(({ address }) => address), secure, user });
        done();
      });
    },
    ...options,
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  closing.push(() => server.close());
  const { port } = server.server.address() as AddressInfo;
  return { port, received };
}

function carrierTo(url: string, authorities: readonly string[] = []) {
  const from = 'no-reply@id.example.cn';
  const { carry, close } = createSmtpCarrier({
    url: new URL(url),
    from,
    fromName: () => '印信统一身份认证',
    authorities,
  });
  closing.push(close);
  return carry;
}

const letter = {
  id: 'msg_1',
  to: 'lihua@example.cn',
  kind: 'signInCode',
  language: 'zh-CN',
  parameters: { code: '246810' },
  subject: '登录验证码',
  text: '246810 是您的登录验证码',
} as const;

test('e-mail goes by STARTTLS with the user of the address, as one plain text that no machine answers', async () => {
  const { port, received } = await mailServer();
  await carrierTo(`smtp://yinxin:p%40ss@${ELSEWHERE}:${port}`, [tls.certificate])(letter);
  expect(received).toMatchObject([
    { from: 'no-reply@id.example.cn', to: ['lihua@example.cn'], secure: true, user: 'yinxin' },
  ]);
  const body = received[0]?.body ?? '';
  expect(body).toMatch(/^Message-ID: <msg_1@id\.example\.cn>/im);
  expect(body).toMatch(/^Auto-Submitted: auto-generated/im);
  expect(body).toMatch(/^Content-Type: text\/plain; charset=utf-8/im);
});

test('e-mail goes by TLS from the beginning', async () => {
  const { port, received } = await mailServer({ secure: true });
  await carrierTo(`smtps://${ELSEWHERE}:${port}`, [tls.certificate])(letter);
  expect(received).toMatchObject([{ secure: true }]);
});

test('to a mail server elsewhere that offers no TLS, or whose certificate nobody vouches for, nothing goes', async () => {
  const plain = await mailServer({ hideSTARTTLS: true, disabledCommands: ['STARTTLS'] });
  await expect(carrierTo(`smtp://${ELSEWHERE}:${plain.port}`)(letter)).rejects.toThrow(/^SMTP .*ETLS/);
  const unknown = await mailServer();
  await expect(carrierTo(`smtp://${ELSEWHERE}:${unknown.port}`)(letter)).rejects.toThrow(/^SMTP /);
  expect([...plain.received, ...unknown.received]).toEqual([]);
});

test('to one on this machine it goes as it is', async () => {
  const { port, received } = await mailServer({ hideSTARTTLS: true, disabledCommands: ['STARTTLS'] });
  await carrierTo(`smtp://127.0.0.1:${port}`)(letter);
  expect(received).toMatchObject([{ secure: false }]);
});

test('an address that the server refuses is given up, and is not in what is said of it', async () => {
  const refusing = (responseCode: number) =>
    mailServer({
      hideSTARTTLS: true,
      onRcptTo: ({ address }, _session, done) =>
        done(Object.assign(new Error(`no mailbox ${address} here`), { responseCode })),
    });
  const never = await carrierTo(`smtp://127.0.0.1:${(await refusing(550)).port}`)(letter).catch(
    (e: unknown) => e,
  );
  expect(never).toBeInstanceOf(Unacceptable);
  const later = await carrierTo(`smtp://127.0.0.1:${(await refusing(451)).port}`)(letter).catch(
    (e: unknown) => e,
  );
  expect(later).not.toBeInstanceOf(Unacceptable);
  for (const error of [never, later] as Error[])
    expect(`${error.message}${error.stack}${String(error.cause)}`).not.toContain('lihua');
  expect([(never as Error).message, (later as Error).message]).toEqual([
    'SMTP 550 EENVELOPE',
    'SMTP 451 EENVELOPE',
  ]);
});

test('a refused sign-in and a server that is away are tried again', async () => {
  const { port } = await mailServer({ allowInsecureAuth: true, hideSTARTTLS: true });
  const wrong = await carrierTo(`smtp://yinxin:wrong@127.0.0.1:${port}`)(letter).catch((e: unknown) => e);
  expect(wrong).toMatchObject({ message: 'SMTP 535 EAUTH' });
  const away = await carrierTo('smtp://127.0.0.1:1')(letter).catch((e: unknown) => e);
  for (const error of [wrong, away]) expect(error).not.toBeInstanceOf(Unacceptable);
});

test('no letter of an address becomes a header or another address', async () => {
  const { port, received } = await mailServer({ hideSTARTTLS: true });
  const hostile = { ...letter, to: "o'hara+a@example.cn", subject: 'a\r\nBcc: evil@example.cn' };
  await carrierTo(`smtp://127.0.0.1:${port}`)(hostile);
  expect(received).toMatchObject([{ to: ["o'hara+a@example.cn"] }]);
  expect(received[0]?.body).not.toMatch(/^Bcc:/im);
});
