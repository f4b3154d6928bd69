import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { ConfigError, toConfig } from '../../src/platform/config.ts';
import { toSources } from '../../src/platform/sources.ts';
import { newSecrets } from '../support/app.ts';

const name = { 'zh-CN': '测试人口库' };
const authority = {
  driver: 'http',
  id: 'mps',
  name,
  url: 'https://register.example/v1',
  authentication: { method: 'hmac', keyId: 'k', secret: randomBytes(32).toString('base64') },
  trustFramework: 'urn:example:register',
};
const upstream = {
  id: 'net-number',
  name,
  issuer: 'https://upstream.example',
  clientId: 'yinxin',
  clientSecret: 'a secret of theirs',
  acr: { high: { proofing: 3, method: 'fedmfa' } },
};
const register = { issuer: 'https://register.example', jwksUri: 'https://register.example/jwks' };
const problem = (sources: object) => {
  const read = toSources(JSON.stringify(sources), 'server');
  return 'problem' in read ? read.problem : undefined;
};

test('the register of invented people is there in embedded mode, and in server mode only where it is asked for', () => {
  expect(toSources(undefined, 'embedded')).toMatchObject({
    value: { authorities: [{ driver: 'fictional' }] },
  });
  expect(toSources(undefined, 'server')).toMatchObject({ value: { authorities: [] } });
  expect(toSources('{"authorities":[{"driver":"fictional"}]}', 'server')).toMatchObject({
    value: { authorities: [{ driver: 'fictional' }] },
  });
});

test('authorities, upstream providers and registers are read with their defaults', () => {
  expect(
    toSources(
      JSON.stringify({ authorities: [authority], upstreams: [upstream], registers: [register] }),
      'server',
    ),
  ).toMatchObject({
    value: {
      authorities: [{ attainable: 3, timeoutMs: 5000, liveCheckOrigins: [] }],
      upstreams: [{ scope: 'openid' }],
    },
  });
});

test('what cannot be used is named, and no value is shown', () => {
  expect(toSources('{', 'server')).toEqual({ problem: 'is not JSON' });
  expect(problem({ authorities: [{ ...authority, url: 'http://register.example' }] })).toContain(
    'authorities.0.url is not https',
  );
  expect(problem({ authorities: [{ ...authority, name: { en: 'Register' } }] })).toContain('zh-CN');
  expect(problem({ authorities: [authority, authority] })).toContain('authorities names one twice');
  const short = { ...authority, authentication: { method: 'hmac', keyId: 'k', secret: 'c2hvcnQ=' } };
  expect(problem({ authorities: [short] })).toContain('is not 32 bytes or more');
  expect(problem({ authorities: [short] })).not.toContain('c2hvcnQ=');
  const mtls = { ...authority, authentication: { method: 'mtls', certificate: 'none', key: 'none' } };
  expect(problem({ authorities: [mtls] })).toMatch(/certificate in PEM form.*key in PEM form/);
  expect(problem({ registers: [{ issuer: 'r' }] })).toContain('needs jwks or jwksUri');
  expect(
    problem({ upstreams: [{ ...upstream, acr: { high: { proofing: 9, method: 'pwd' } } }] }),
  ).toBeDefined();
  expect(problem({ surprises: [] })).toBeDefined();
});

test('a bad document is named together with every other problem of the configuration', () => {
  try {
    toConfig({ ...newSecrets(), IDENTITY_SOURCES: '{"authorities":1}', PORT: 'x' });
    expect.unreachable();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.problems.map(({ variable }) => variable).sort()).toEqual(['IDENTITY_SOURCES', 'PORT']);
  }
});
