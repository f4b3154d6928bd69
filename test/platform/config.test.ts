import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { derToPem } from '../../src/pki/index.ts';
import { ConfigError, readEnv, toConfig, type RawEnv } from '../../src/platform/config.ts';
import { issue } from '../pki/support.ts';

const secret = () => randomBytes(32).toString('base64');
const server = (): RawEnv => ({
  ISSUER: 'https://id.example.cn',
  DATABASE_URL: 'postgres://db.example/yinxin',
  REDIS_URL: 'rediss://cache.example',
  KEY_ENCRYPTION_KEY: secret(),
  DATA_KEY: secret(),
  PASSWORD_PEPPER: secret(),
  COOKIE_KEYS: `${secret()},${secret()}`,
});

function problemsOf(raw: RawEnv): Record<string, string> {
  try {
    toConfig(readEnv(raw));
  } catch (error) {
    if (error instanceof ConfigError)
      return Object.fromEntries(error.problems.map((p) => [p.variable, p.problem]));
    throw error;
  }
  return {};
}

describe('configuration', () => {
  test('server mode is chosen by both addresses and is frozen to its depth', () => {
    const { config, secrets } = toConfig(readEnv(server()));
    expect(config).toMatchObject({
      mode: 'server',
      issuer: 'https://id.example.cn',
      port: 3000,
      outboundNetworks: [],
    });
    expect(
      Object.isFrozen(config) && Object.isFrozen(config.argon2) && Object.isFrozen(config.database),
    ).toBe(true);
    expect(secrets.cookieKeys).toHaveLength(2);
  });

  test('neither address means embedded mode, whose secrets are made once and readable by their owner alone', () => {
    const folder = mkdtempSync(join(tmpdir(), 'yinxin-keys-'));
    const raw = { KEYS_DIRECTORY: join(folder, 'keys') };
    const first = toConfig(readEnv(raw));
    expect(first.config).toMatchObject({
      mode: 'embedded',
      issuer: 'http://localhost:3000',
      host: '127.0.0.1',
      outboundNetworks: ['127.0.0.0/8', '::1/128'],
    });
    const path = join(folder, 'keys', 'development-secrets.json');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const kept = readFileSync(path, 'utf8');
    const exported = ({ secrets }: ReturnType<typeof toConfig>) =>
      secrets.cookieKeys.map((key) => key.export());
    expect(exported(toConfig(readEnv(raw)))).toEqual(exported(first));
    expect(readFileSync(path, 'utf8')).toBe(kept);
  });

  test('every bad variable is named in one answer, and no value is shown', () => {
    const raw = {
      ...server(),
      ISSUER: 'http://id.example.cn',
      PORT: '70000',
      LOG_LEVEL: 'loud',
      KEY_ENCRYPTION_KEY: 'changeme',
      DATA_KEY: Buffer.from('0123456789abcdef0123456789abcdef').toString('base64'),
      PASSWORD_PEPPER: undefined,
      COOKIE_KEYS: Buffer.alloc(32).toString('base64'),
      OUTBOUND_NETWORKS: '10.0.0.0/33',
      REDIS_URL: undefined,
    };
    const problems = problemsOf(raw);
    expect(Object.keys(problems).sort()).toEqual([
      'COOKIE_KEYS',
      'DATA_KEY',
      'ISSUER',
      'KEY_ENCRYPTION_KEY',
      'LOG_LEVEL',
      'OUTBOUND_NETWORKS',
      'PASSWORD_PEPPER',
      'PORT',
      'REDIS_URL',
    ]);
    expect(problems['DATA_KEY']).toContain('placeholder');
    expect(JSON.stringify(problems)).not.toContain('changeme');
  });

  test('a secret that serves two purposes is refused', () => {
    const raw = { ...server() };
    expect(problemsOf({ ...raw, DATA_KEY: raw['KEY_ENCRYPTION_KEY'] })).toEqual({
      DATA_KEY: 'repeats the value of KEY_ENCRYPTION_KEY',
    });
  });

  test('data keys that are known besides the current one are a list, each judged as the current one is', () => {
    const others = [secret(), secret()];
    const raw: RawEnv = { ...server(), DATA_KEY_OTHERS: others.join(', ') };
    const { dataKeys } = toConfig(readEnv(raw)).secrets;
    expect(dataKeys.known[0]).toBe(dataKeys.current);
    expect(dataKeys.known).toHaveLength(3);
    expect(new Set(dataKeys.known.map(({ id }) => id)).size).toBe(3);
    // A key's name is its own, wherever it stands.
    const later = { ...raw, DATA_KEY: others[0], DATA_KEY_OTHERS: raw['DATA_KEY'] };
    expect(toConfig(readEnv(later)).secrets.dataKeys.known.map(({ id }) => id)).toEqual([
      dataKeys.known[1]?.id,
      dataKeys.known[0].id,
    ]);

    expect(problemsOf({ ...raw, DATA_KEY_OTHERS: `${others[0]},changeme` })).toEqual({
      DATA_KEY_OTHERS: 'is not 32 bytes in base64 (openssl rand -base64 32)',
    });
    expect(problemsOf({ ...raw, DATA_KEY_OTHERS: raw['DATA_KEY'] })).toEqual({
      DATA_KEY_OTHERS: 'repeats the value of DATA_KEY',
    });
    expect(problemsOf({ DATA_KEY_OTHERS: others[0], KEYS_DIRECTORY: '/nowhere' })).toHaveProperty('DATA_KEY');
    const path = join(mkdtempSync(join(tmpdir(), 'yinxin-secret-')), 'data-key-others');
    writeFileSync(path, `${others.join(',')}\n`);
    const fromFile = { ...server(), DATA_KEY_OTHERS_FILE: path };
    expect(toConfig(readEnv(fromFile)).secrets.dataKeys.known).toHaveLength(3);
  });

  test('peppers that are known besides the current one are a list, each judged as the current one is', () => {
    const others = [secret(), secret()];
    const raw: RawEnv = { ...server(), PASSWORD_PEPPER_OTHERS: others.join(',') };
    const { otherPasswordPeppers } = toConfig(readEnv(raw)).secrets;
    expect(otherPasswordPeppers.map((key) => key.export().toString('base64'))).toEqual(others);
    expect(problemsOf({ ...raw, PASSWORD_PEPPER_OTHERS: `${others[0]},changeme` })).toEqual({
      PASSWORD_PEPPER_OTHERS: 'is not 32 bytes in base64 (openssl rand -base64 32)',
    });
    expect(problemsOf({ ...raw, PASSWORD_PEPPER_OTHERS: raw['PASSWORD_PEPPER'] })).toEqual({
      PASSWORD_PEPPER_OTHERS: 'repeats the value of PASSWORD_PEPPER',
    });
    expect(toConfig(readEnv(server())).secrets.otherPasswordPeppers).toEqual([]);
  });

  test('server mode without a single secret names each of them', () => {
    const problems = problemsOf({ DATABASE_URL: 'postgres://db/x', REDIS_URL: 'redis://cache' });
    expect(Object.keys(problems).sort()).toEqual([
      'COOKIE_KEYS',
      'DATA_KEY',
      'ISSUER',
      'KEY_ENCRYPTION_KEY',
      'PASSWORD_PEPPER',
    ]);
  });

  test('a secret may be a file', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'yinxin-secret-')), 'data-key');
    writeFileSync(path, `${secret()}\n`);
    expect(problemsOf({ ...server(), DATA_KEY: undefined, DATA_KEY_FILE: path })).toEqual({});
    expect(problemsOf({ ...server(), DATA_KEY_FILE: '/nowhere/data-key' })).toEqual({
      DATA_KEY_FILE: 'names a file that cannot be read',
    });
  });

  describe('of messages', () => {
    const sms = { SMS_GATEWAY_URL: 'https://sms.example.cn/send', SMS_GATEWAY_TOKEN: 'a.token' };

    test('has no channel unless one is named, and takes passwords and keys from files', () => {
      expect(toConfig(readEnv(server())).config.messages).toEqual({ smtp: undefined, smsGateway: undefined });
      const path = join(mkdtempSync(join(tmpdir(), 'yinxin-smtp-')), 'smtp-url');
      writeFileSync(path, 'smtps://yinxin:secret@mail.example.cn\n');
      const key = secret();
      const raw = {
        ...server(),
        SMTP_URL_FILE: path,
        MAIL_FROM: 'no-reply@id.example.cn',
        SMS_GATEWAY_URL: 'https://sms.example.cn/send',
        SMS_GATEWAY_KEY: key,
      };
      expect(toConfig(readEnv(raw)).config.messages).toEqual({
        smtp: { url: 'smtps://yinxin:secret@mail.example.cn', from: 'no-reply@id.example.cn' },
        smsGateway: { url: 'https://sms.example.cn/send', key, keyId: 'yinxin' },
      });
    });

    test.each<[string, RawEnv]>([
      ['MAIL_FROM', { SMTP_URL: 'smtps://mail.example.cn' }],
      ['MAIL_FROM', { SMTP_URL: 'smtps://mail.example.cn', MAIL_FROM: '印信 <no-reply@id.example.cn>' }],
      ['SMTP_URL', { SMTP_URL: 'mail.example.cn', MAIL_FROM: 'no-reply@id.example.cn' }],
      ['SMS_GATEWAY_TOKEN', { SMS_GATEWAY_TOKEN: 'a.token' }],
      ['SMS_GATEWAY_TOKEN', { ...sms, SMS_GATEWAY_TOKEN: 'a token' }],
      ['SMS_GATEWAY_KEY', { ...sms, SMS_GATEWAY_TOKEN: undefined, SMS_GATEWAY_KEY: 'short' }],
      ['SMS_GATEWAY_URL', { ...sms, SMS_GATEWAY_KEY: secret() }],
      ['SMS_GATEWAY_URL', { SMS_GATEWAY_URL: sms.SMS_GATEWAY_URL }],
      ['SMS_GATEWAY_URL', { ...sms, SMS_GATEWAY_URL: 'http://sms.example.cn/send' }],
      ['SMS_GATEWAY_URL', { ...sms, SMS_GATEWAY_URL: 'https://user:password@sms.example.cn/' }],
    ])('is refused with a bad %s: %j', (variable, raw) => {
      const problems = problemsOf({ ...server(), ...raw });
      expect(Object.keys(problems)).toEqual([variable]);
      expect(JSON.stringify(problems)).not.toMatch(/a\.token|password@/);
    });
  });

  describe('of mutual TLS', () => {
    const authority = (commonName: string, isCa: boolean) =>
      issue(commonName, { extensions: { basicConstraints: { cA: isCa } } }).then(({ certificate }) =>
        derToPem('CERTIFICATE', certificate.der),
      );

    test('is off unless proxies are named, and then nothing else of it has a meaning', async () => {
      expect(toConfig(readEnv(server())).config.mutualTls).toBeUndefined();
      const others = {
        CLIENT_CERTIFICATE_AUTHORITIES: await authority('根', true),
        CLIENT_CERTIFICATE_FORMAT: 'urlencoded-pem',
        MUTUAL_TLS_ORIGIN: 'https://mtls.id.example.cn',
      };
      expect(Object.keys(problemsOf({ ...server(), ...others }))).toEqual(Object.keys(others));
      const proxies = { CLIENT_CERTIFICATE_PROXIES: '10.0.0.7/32,fd00::/8' };
      expect(toConfig(readEnv({ ...server(), ...proxies })).config.mutualTls).toEqual({
        proxies: ['10.0.0.7/32', 'fd00::/8'],
        format: 'rfc9440',
        authorities: undefined,
        origin: undefined,
      });
      expect(toConfig(readEnv({ ...server(), ...proxies, ...others })).config.mutualTls).toMatchObject({
        format: 'urlencoded-pem',
        origin: 'https://mtls.id.example.cn',
      });
    });

    test('takes its authorities from a file, several if there are several', async () => {
      const path = join(mkdtempSync(join(tmpdir(), 'yinxin-authorities-')), 'authorities.pem');
      writeFileSync(path, `# 根\n${await authority('甲', true)}\n${await authority('乙', true)}`);
      const raw = {
        ...server(),
        CLIENT_CERTIFICATE_PROXIES: '10.0.0.7/32',
        CLIENT_CERTIFICATE_AUTHORITIES_FILE: path,
      };
      expect(problemsOf(raw)).toEqual({});
      expect(toConfig(readEnv(raw)).config.mutualTls?.authorities).toContain('BEGIN CERTIFICATE');
    });

    test.each<[string, RawEnv]>([
      ['CLIENT_CERTIFICATE_PROXIES', { CLIENT_CERTIFICATE_PROXIES: '10.0.0.7' }],
      ['CLIENT_CERTIFICATE_PROXIES', { CLIENT_CERTIFICATE_PROXIES: '10.0.0.0/8,proxy.example.cn' }],
      ['CLIENT_CERTIFICATE_PROXIES', { CLIENT_CERTIFICATE_PROXIES: '0.0.0.0/0' }],
      ['CLIENT_CERTIFICATE_PROXIES', { CLIENT_CERTIFICATE_PROXIES: '::/0' }],
      ['CLIENT_CERTIFICATE_FORMAT', { CLIENT_CERTIFICATE_FORMAT: 'xfcc' }],
      ['CLIENT_CERTIFICATE_AUTHORITIES', { CLIENT_CERTIFICATE_AUTHORITIES: 'root.pem' }],
      ['MUTUAL_TLS_ORIGIN', { MUTUAL_TLS_ORIGIN: 'https://mtls.id.example.cn/' }],
      ['MUTUAL_TLS_ORIGIN', { MUTUAL_TLS_ORIGIN: 'http://mtls.id.example.cn' }],
    ])('is refused with a bad %s: %j', (variable, raw) => {
      expect(
        Object.keys(problemsOf({ ...server(), CLIENT_CERTIFICATE_PROXIES: '10.0.0.7/32', ...raw })),
      ).toEqual([variable]);
    });

    test('is refused with an authority that is none', async () => {
      const raw = {
        ...server(),
        CLIENT_CERTIFICATE_PROXIES: '10.0.0.7/32',
        CLIENT_CERTIFICATE_AUTHORITIES: await authority('门户', false),
      };
      expect(problemsOf(raw)).toEqual({
        CLIENT_CERTIFICATE_AUTHORITIES: 'has a certificate that is no certificate authority',
      });
    });
  });

  test('makers of hardware passkeys are certificate authorities, and there are none unless named', async () => {
    expect(toConfig(readEnv(server())).config.passkeyAuthorities).toBeUndefined();
    const { certificate } = await issue('示例钥匙厂', { extensions: { basicConstraints: { cA: true } } });
    const pem = derToPem('CERTIFICATE', certificate.der);
    const raw = { ...server(), PASSKEY_AUTHORITIES: pem };
    expect(toConfig(readEnv(raw)).config.passkeyAuthorities).toBe(pem.trim());
    expect(problemsOf({ ...server(), PASSKEY_AUTHORITIES: 'maker.pem' })).toEqual({
      PASSKEY_AUTHORITIES: 'is not certificates in PEM form',
    });
  });

  test.each([
    'https://id.example.cn/',
    'https://id.example.cn/path',
    'ftp://id.example.cn',
    'nonsense',
    'https://user@id.example.cn',
  ])('the issuer %s is refused', (issuer) => {
    expect(problemsOf({ ...server(), ISSUER: issuer })).toHaveProperty('ISSUER');
  });

  test('nobody is believed about where a request comes from unless named, and never everybody', () => {
    expect(toConfig(readEnv(server())).config.trustedProxies).toEqual({
      networks: [],
      header: 'x-forwarded-for',
    });
    const { config } = toConfig(
      readEnv({
        ...server(),
        TRUSTED_PROXIES: '10.0.0.0/8,2001:db8::/32',
        TRUSTED_PROXY_HEADER: 'forwarded',
      }),
    );
    expect(config.trustedProxies).toEqual({
      networks: ['10.0.0.0/8', '2001:db8::/32'],
      header: 'forwarded',
    });
    expect(problemsOf({ ...server(), TRUSTED_PROXIES: '10.0.0.0/8,0.0.0.0/0' })).toEqual({
      TRUSTED_PROXIES: '"0.0.0.0/0" believes everyone',
    });
    expect(problemsOf({ ...server(), TRUSTED_PROXIES: '10.0.0.1' })).toEqual({
      TRUSTED_PROXIES: '"10.0.0.1" is not a network in CIDR form',
    });
    expect(problemsOf({ ...server(), TRUSTED_PROXY_HEADER: 'forwarded' })).toEqual({
      TRUSTED_PROXY_HEADER: 'has no meaning without TRUSTED_PROXIES',
    });
    expect(
      problemsOf({ ...server(), TRUSTED_PROXIES: '10.0.0.0/8', TRUSTED_PROXY_HEADER: 'x-real-ip' }),
    ).toEqual({ TRUSTED_PROXY_HEADER: 'is not x-forwarded-for or forwarded' });
  });

  test('limits of an operator are JSON, or named as what they are not', () => {
    expect(toConfig(readEnv({ ...server(), LIMITS: '{"a":1}' })).config.limits).toEqual({ a: 1 });
    expect(problemsOf({ ...server(), LIMITS: '{' })).toEqual({ LIMITS: 'is not JSON' });
  });

  test('a token needs its module, label and PIN; a wrapping key in it takes the place of the one given', () => {
    const raw = server();
    const token = { PKCS11_MODULE: '/usr/lib/hsm.so', PKCS11_TOKEN: 'yinxin', PKCS11_PIN: '739154' };
    expect(toConfig(readEnv(raw)).config.token).toBeUndefined();
    expect(toConfig(readEnv({ ...raw, ...token })).config.token).toEqual({
      module: '/usr/lib/hsm.so',
      label: 'yinxin',
      sessions: 4,
      wrappingKey: undefined,
      makesKeys: false,
    });
    expect(problemsOf({ ...raw, PKCS11_TOKEN: 'yinxin', PKCS11_KEYS: 'yes' })).toEqual({
      PKCS11_TOKEN: 'has no meaning without PKCS11_MODULE',
      PKCS11_KEYS: 'has no meaning without PKCS11_MODULE',
    });
    expect(problemsOf({ ...raw, PKCS11_MODULE: 'hsm.so' })).toEqual({
      PKCS11_MODULE: 'is not an absolute path',
      PKCS11_TOKEN: 'is missing (PKCS11_MODULE is set)',
      PKCS11_PIN: 'is missing (PKCS11_MODULE is set)',
    });
    const inToken = { ...raw, ...token, PKCS11_WRAPPING_KEY: 'wrapping', KEY_ENCRYPTION_KEY: undefined };
    const { secrets, config } = toConfig(readEnv(inToken));
    expect(secrets.keyEncryptionKey).toBeUndefined();
    expect(config.token?.wrappingKey).toBe('wrapping');
    expect(JSON.stringify(config)).not.toContain('739154');
  });
});
