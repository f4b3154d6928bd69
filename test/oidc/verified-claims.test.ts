import { describe, expect, test } from 'vitest';
import type { Evidence } from '../../src/identity/index.ts';
import { claimsWithin, readRequest, verifiedClaims } from '../../src/oidc/verified-claims.ts';

const NOW = new Date('2026-11-23T08:00:00Z');
const evidence: Evidence & { organization: string } = {
  id: 'prf_00000000000000000000000000',
  authority: 'mps',
  trustFramework: 'urn:example:register',
  fictional: false,
  method: 'live-check',
  documentKind: 'resident-id',
  level: 3,
  result: 'confirmed',
  reference: 'r-1',
  at: new Date('2026-11-23T07:00:30Z'),
  supersededAt: undefined,
  organization: '测试人口库',
};
const known = { name: '李华', birthdate: '1990-03-07', id_number_hash: 'h' };
const ask = (request: unknown) => {
  const requests = readRequest(request);
  return requests && verifiedClaims(requests, evidence, known, NOW);
};
const plain = (verification: object, claims: object = { name: null }) => ({
  verification: { trust_framework: null, ...verification },
  claims,
});

describe('verified_claims (OpenID Connect for Identity Assurance 1.0)', () => {
  test('say what was asked for, and nothing else', () => {
    expect(ask(plain({}))).toEqual({
      verification: { trust_framework: 'urn:example:register' },
      claims: { name: '李华' },
    });
    expect(
      ask(plain({ assurance_level: null, time: null }, { name: null, birthdate: null, gender: null })),
    ).toEqual({
      verification: {
        trust_framework: 'urn:example:register',
        assurance_level: 'urn:yinxin:proofing:3',
        time: '2026-11-23T07:00Z',
      },
      claims: { name: '李华', birthdate: '1990-03-07' },
    });
  });

  test('are left out as a whole where a constraint is not met', () => {
    for (const request of [
      plain({ trust_framework: { value: 'eidas' } }),
      plain({ assurance_level: { values: ['urn:yinxin:proofing:4'] } }),
      plain({ time: { max_age: 3000 } }),
      plain({ evidence: [{ type: { value: 'document' } }] }),
      plain({
        evidence: [
          { type: { value: 'electronic_record' }, check_details: [{ check_method: { value: 'vpip' } }] },
        ],
      }),
      plain({}, { name: { value: '王华' } }),
      plain({}, { gender: null }),
    ])
      expect(ask(request)).toBeUndefined();
    expect(
      ask(plain({ trust_framework: { values: ['eidas', 'urn:example:register'] }, time: { max_age: 3600 } })),
    ).toBeDefined();
    expect(ask(plain({}, { name: { value: '李华' } }))).toBeDefined();
  });

  test('tell the evidence member by member', () => {
    expect(
      ask(
        plain({
          evidence: [
            {
              type: { value: 'electronic_record' },
              check_details: [{ check_method: null, organization: null, time: null }],
              record: { type: null, source: { name: null } },
            },
          ],
        }),
      ),
    ).toMatchObject({
      verification: {
        evidence: [
          {
            type: 'electronic_record',
            check_details: [
              { check_method: 'data', organization: '测试人口库', time: '2026-11-23T07:00Z' },
              { check_method: 'bvr', organization: '测试人口库', time: '2026-11-23T07:00Z' },
            ],
            record: { type: 'population_register', source: { name: '测试人口库' } },
          },
        ],
      },
    });
    const told = JSON.stringify(ask(plain({ evidence: null })));
    // References are the same at every portal.
    expect(told).not.toContain('r-1');
    expect(told).not.toContain('prf_');
  });

  test('answer the first of several requests that can be met', () => {
    expect(
      ask([plain({ trust_framework: { value: 'eidas' } }), plain({}, { birthdate: null })]),
    ).toMatchObject({
      claims: { birthdate: '1990-03-07' },
    });
  });

  test('a malformed request is none', () => {
    for (const request of [
      null,
      'x',
      {},
      { claims: { name: null } },
      { verification: {}, claims: { name: null } },
      plain({}, {}),
      plain({ trust_framework: 'eidas' }),
      [],
      Array.from({ length: 6 }, () => plain({})),
      plain({}, { name: { values: Array.from({ length: 51 }, () => 'x') } }),
    ])
      expect(readRequest(request)).toBeUndefined();
  });

  test('what is inside is known by name', () => {
    const parameter = JSON.stringify({
      userinfo: { verified_claims: plain({}, { name: null, favourite_colour: null }) },
      id_token: { verified_claims: { any: [plain({}, { birthdate: null })] } },
    });
    expect(claimsWithin(parameter)).toEqual(['name', 'birthdate']);
    expect(claimsWithin(undefined)).toEqual([]);
  });
});
