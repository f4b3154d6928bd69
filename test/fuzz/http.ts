/** Spoils valid requests to every endpoint at random, but repeatably, and asks of each answer what `test/support/hostile.ts` asks of all. */
import {
  faultsOf,
  openField,
  secretsIn,
  toShot,
  type Field,
  type Params,
  type Shot,
  type Valid,
} from '../support/hostile.ts';

export interface HttpReport {
  /** How many were sent, by class of status. */
  readonly answers: Readonly<Record<string, number>>;
  /** Requests that Node's own client would not send. */
  readonly unsendable: number;
  readonly slowestMs: number;
}

const VALUES = [
  '',
  '\0',
  '\r\nX-Injected: 1',
  `<script>"'marker`,
  '__proto__',
  'constructor',
  'null',
  '[]',
  '{}',
  '{"id_token":null,"userinfo":[]}',
  '[{"type":"urn:yinxin:seal-act"}]',
  '-1',
  '1e999',
  '99999999999999999999',
  'none login consent',
  'openid openid',
  'code token id_token',
  'form_post',
  'query.jwt',
  'fragment',
  'a.b.c',
  'urn:ietf:params:oauth:request_uri:x',
  '//evil.example',
  'https://evil.example/%2e%2e',
  '密码😀',
  '\ud800',
  'x'.repeat(3000),
];
const HEADERS: readonly (readonly [string, string])[] = [
  ['Accept', 'text/html'],
  ['Accept', 'application/json'],
  ['Accept', 'application/token-introspection+jwt'],
  ['Content-Type', 'application/x-www-form-urlencoded; charset=utf-16le'],
  ['Content-Type', 'multipart/form-data; boundary=x'],
  ['Content-Type', 'text/plain'],
  ['Content-Encoding', 'gzip'],
  ['Origin', 'https://evil.example'],
  ['X-Forwarded-Host', 'evil.example'],
  ['Authorization', 'Basic Og=='],
  ['Authorization', 'Bearer x'],
  ['DPoP', 'e30.e30.e30'],
  ['Cookie', 'yx_session=x; yx_session.sig=y; yx_csrf=z'],
  ['Host', 'evil.example'],
  ['Expect', '100-continue'],
];
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'HEAD', 'OPTIONS'];
const TAILS = ['/', '/x', '%00', '%ff', '/..', ';a', '?', '?a[b]=c&a=d', '//', '/%2e%2e/token'];

/**
 * @param iterations How many requests.
 * @param seed The same seed spoils in the same way; the secrets in the requests are new each time.
 * @throws when an answer breaks a promise; the message says which, and to what.
 */
export async function fuzzHttp(iterations: number, seed: number): Promise<HttpReport> {
  const random = generator(seed);
  const field = await openField();
  const answers: Record<string, number> = {};
  let unsendable = 0;
  let slowestMs = 0;
  try {
    for (let i = 0; i < iterations; i++) {
      const { shot, kind } = spoil(field, random);
      const broken = (what: string, cause?: unknown) =>
        new Error(`request ${i} of seed ${seed}: ${what}\n${describe(shot)}`, { cause });
      const before = field.failures().length;
      try {
        const answer = await field.send(shot);
        const faults = faultsOf(field, kind, shot, answer);
        if (faults.length > 0)
          throw broken([...faults, ...field.failures().slice(before), answer.text.slice(0, 500)].join('\n'));
        const status = `${Math.floor(answer.status / 100)}xx`;
        answers[status] = (answers[status] ?? 0) + 1;
        slowestMs = Math.max(slowestMs, Math.round(answer.ms));
      } catch (error) {
        if (isUnsendable(error)) unsendable++;
        else
          throw error instanceof Error && error.message.includes('of seed')
            ? error
            : broken(String(error), error);
      }
      const [failure] = field.failures().slice(before);
      if (failure !== undefined) throw broken(failure);
      if (i % 500 === 499 && !(await field.healthy())) throw broken('the process is not ready any more');
    }
    const leaked = secretsIn(field, field.lines.join('\n'));
    if (leaked.length > 0) throw new Error(`seed ${seed}: the log holds the ${leaked.join(', the ')}`);
    return { answers, unsendable, slowestMs };
  } finally {
    await field.stop();
  }
}

type Random = (below: number) => number;

function spoil(field: Field, random: Random): { shot: Shot; kind: Valid['kind'] } {
  const valid = pick(random, field.valid);
  let params: Params = valid.params;
  for (let changes = random(4); changes > 0; changes--) params = spoilParams(params, field, random);
  let shot = toShot(valid, params);
  let { kind } = valid;
  for (let changes = params === valid.params ? 1 : random(3); changes > 0; changes--) {
    shot = spoilShot(shot, field, random);
    // Elsewhere than at the endpoint, or for a method that it has not, nobody expects an OAuth error.
    if (shot.target.split('?')[0] !== valid.path || shot.method !== valid.method) kind = 'api';
  }
  return { shot, kind };
}

function spoilParams(params: Params, field: Field, random: Random): Params {
  const at = random(params.length);
  const [name, value] = params[at] ?? ['x', 'x'];
  const put = (...pairs: Params) => [...params.slice(0, at), ...pairs, ...params.slice(at + 1)];
  const other = pick(random, field.valid).params;
  const [otherName, otherValue] = other[random(other.length)] ?? ['y', 'y'];
  switch (random(12)) {
    case 0:
      return put();
    case 1:
      return put([name, value], [name, value]);
    case 2:
      return put([name, value], [name, pick(random, VALUES)]);
    case 3:
      return put([name, otherValue]);
    case 4:
      return put([otherName, otherValue], [name, value]);
    case 5:
      return put([`${name}[${random(2) === 0 ? '' : otherName}]`, value]);
    case 6:
      return put([name, flip(value, random)]);
    case 7:
      return put([name, value.slice(0, random(value.length))]);
    case 8:
      return put([flip(name, random), value]);
    case 9:
      return [
        ...params,
        ...Array.from({ length: random(200) }, (_, i): [string, string] => [`${name}${i}`, value]),
      ];
    default:
      return put([name, pick(random, VALUES)]);
  }
}

function spoilShot(shot: Shot, field: Field, random: Random): Shot {
  const { body } = shot;
  const at = random(body?.length ?? 0);
  const octets = (from: number, to: number, put: Buffer) =>
    body ? { ...shot, body: Buffer.concat([body.subarray(0, from), put, body.subarray(to)]) } : shot;
  switch (random(12)) {
    case 0:
      return octets(at, at + 1, Buffer.of(random(256)));
    case 1:
      return octets(at, at + random(20), Buffer.of());
    case 2:
      return octets(at, at, Buffer.from(pick(random, VALUES)));
    case 3:
      return octets(at, body?.length ?? 0, Buffer.of());
    case 4:
      return { ...shot, chunked: true };
    case 5:
      return { ...shot, target: shot.target.replace(/[^?]*/, pick(random, field.valid).path) };
    case 6:
      return { ...shot, target: shot.target + pick(random, TAILS) };
    case 7:
      return { ...shot, target: flip(shot.target, random) };
    case 8:
      return { ...shot, method: pick(random, METHODS) };
    case 9: {
      const [name, value] = pick(random, HEADERS);
      return {
        ...shot,
        headers: [...shot.headers.filter(([other]) => random(4) === 0 || other !== name), [name, value]],
      };
    }
    case 10:
      return { ...shot, headers: shot.headers.filter(() => random(3) > 0) };
    default:
      return {
        ...shot,
        headers: shot.headers.map(([name, value]) => [name, random(3) === 0 ? flip(value, random) : value]),
      };
  }
}

/** Another sign in the place of one. */
function flip(text: string, random: Random): string {
  const at = random(text.length);
  const code = random(4) === 0 ? random(0x3000) : 0x21 + random(0x5d);
  return text.slice(0, at) + String.fromCodePoint(code) + text.slice(at + 1);
}

function isUnsendable(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return ['ERR_INVALID_CHAR', 'ERR_UNESCAPED_CHARACTERS', 'ERR_INVALID_HTTP_TOKEN'].includes(String(code));
}

function describe({ method, target, headers, body, chunked }: Shot): string {
  const lines = headers.map(([name, value]) => `${name}: ${value}`);
  return [`${method} ${target}`, ...lines, chunked ? '(in chunks)' : '', body?.toString('latin1') ?? '']
    .join('\n')
    .slice(0, 4000);
}

function pick<T>(random: Random, items: readonly T[]): T {
  const item = items[random(items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

/** Mulberry32. */
function generator(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}
