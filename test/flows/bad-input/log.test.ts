/** Secrets sent where they do not belong, in requests that fail in every way: the log and the metrics hold none of them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  FORM,
  openField,
  secretsIn,
  shootOctets,
  toShot,
  withBody,
  type Field,
  type Shot,
} from '../../support/hostile.ts';

let field: Field;
let jwt: string;
beforeAll(async () => {
  field = await openField();
  jwt = field.keyed.assertion({ phone_number: field.person.identifier });
});
afterAll(() => field.stop());

/** Requests to every endpoint with a secret in each place of them. */
function* misplaced(secret: string): Generator<Shot> {
  const [query, form] = [
    'client_id',
    'state',
    'token',
    'code',
    'login_hint',
    'id_token_hint',
    'user_code',
    'x',
  ]
    .map((name) => new URLSearchParams({ [name]: secret }).toString())
    .reduce<[string, string]>(([all], pair) => [`${all}&${pair}`, `${all}&${pair}`], ['a=b', 'a=b']);
  for (const valid of field.valid) {
    const { method, path, headers } = valid;
    const good = toShot(valid);
    yield { method, target: `${path}?${query}`, headers: Object.entries(headers) };
    yield {
      method: 'GET',
      target: `${path}/${encodeURIComponent(secret)}`,
      headers: [['Accept', 'text/html']],
    };
    for (const name of [
      'Authorization',
      'Cookie',
      'DPoP',
      'Idempotency-Key',
      'traceparent',
      'Accept-Language',
      'User-Agent',
      'Referer',
    ])
      yield {
        ...good,
        headers: [
          ...good.headers.filter(([other]) => other !== name),
          [name, name === 'Cookie' ? `yx_session=${secret}` : `Bearer ${secret}`],
        ],
      };
    if (method !== 'GET') {
      yield withBody(valid, FORM, form);
      yield withBody(valid, 'application/json', `{"client_secret": ${secret}`);
      yield withBody(
        valid,
        'multipart/form-data; boundary=b',
        `--b\r\nContent-Disposition: form-data; name="${secret}"\r\n\r\n${secret}\r\n--b--`,
      );
      yield withBody(valid, secret, secret);
    }
  }
}

/** Where something fails, not is refused, the error itself is logged: with its statement and its values, if nobody took care. */
async function failInTheDatabase(): Promise<void> {
  const { secrets, person } = field;
  for (const value of [person.identifier, secrets['code'] ?? '', person.password])
    await field.t.app.db
      .query('SELECT $1::text::json', [`${value} is no JSON`])
      .catch((error: unknown) => field.log.error({ err: error }, 'a statement failed'));
}

test('no secret that was sent to a wrong place is in the log or in the metrics', async () => {
  const { 'registration access token': _rotating, ...secrets } = field.secrets;
  const sent = [
    'client secret',
    'code',
    'access token',
    'refresh token',
    'password',
    'phone',
    'initial access token',
    'session',
  ];
  for (const name of sent)
    for (const shot of misplaced(secrets[name] ?? '')) {
      const { status } = await field.send(shot);
      expect(status, `${name} at ${shot.method} ${shot.target.slice(0, 60)}`).toBeLessThan(500);
    }
  for (const shot of misplaced(jwt)) await field.send(shot);
  await shootOctets(
    field.t.origin,
    `GET /${field.secrets['code']} HTTP/1.1\r\nCookie: a=${field.secrets['session']}\0\r\n\r\n`,
  );
  await failInTheDatabase();
  expect(field.lines.join('\n')).toContain('a statement failed');
  expect(field.lines.length).toBeGreaterThan(3000);
  expect(
    secretsIn(field, field.lines.join('\n'), {
      'client assertion': jwt,
      'its signature': jwt.split('.')[2] ?? '',
    }),
  ).toEqual([]);
  expect(
    secretsIn(field, await (await fetch(`${field.t.origin}/metrics`)).text(), { 'client assertion': jwt }),
  ).toEqual([]);
});
