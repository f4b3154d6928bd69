/**
 * The measure: oidc-provider as its documentation sets it up, in one process on Redis, with a plain adapter (JSON, one command after
 * another) and the library's own development pages, which accept any name and password. Not part of the product.
 */
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import Provider, { type Adapter, type AdapterPayload } from 'oidc-provider';
import { createClient } from 'redis';

const {
  ISSUER: issuer = '',
  PORT = '',
  REDIS_URL = '',
  CLIENT_ID = '',
  CLIENT_SECRET = '',
  REDIRECT_URI = '',
} = process.env;
const RESOURCE = 'urn:bench:api';

const redis = createClient({ url: REDIS_URL });
await redis.connect();

const CONSUMABLE = new Set([
  'AuthorizationCode',
  'RefreshToken',
  'DeviceCode',
  'PushedAuthorizationRequest',
  'BackchannelAuthenticationRequest',
]);
const GRANTED = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode']);

/** The library's own example adapter for Redis (`example/adapters/redis.js`) on the client that the product uses. */
class PlainAdapter implements Adapter {
  readonly #model: string;

  constructor(model: string) {
    this.#model = model;
  }

  #key(id: string): string {
    return `vanilla:${this.#model}:${id}`;
  }

  async upsert(id: string, payload: AdapterPayload, expiresIn: number): Promise<void> {
    const key = this.#key(id);
    const commands = redis.multi();
    const json = JSON.stringify(payload);
    if (CONSUMABLE.has(this.#model)) commands.hSet(key, { payload: json });
    else commands.set(key, json);
    if (expiresIn) commands.expire(key, expiresIn);
    if (GRANTED.has(this.#model) && payload.grantId !== undefined) {
      const grant = `vanilla:grant:${payload.grantId}`;
      commands.rPush(grant, key);
      // As the example does: the list of a grant lives as long as its longest-lived member.
      if (expiresIn > (await redis.ttl(grant))) commands.expire(grant, expiresIn);
    }
    if (payload.userCode !== undefined)
      commands
        .set(`vanilla:userCode:${payload.userCode}`, id)
        .expire(`vanilla:userCode:${payload.userCode}`, expiresIn);
    if (payload.uid !== undefined)
      commands.set(`vanilla:uid:${payload.uid}`, id).expire(`vanilla:uid:${payload.uid}`, expiresIn);
    await commands.exec();
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    if (!CONSUMABLE.has(this.#model)) {
      const json = await redis.get(this.#key(id));
      return json === null ? undefined : (JSON.parse(json) as AdapterPayload);
    }
    const { payload, ...rest } = await redis.hGetAll(this.#key(id));
    return payload === undefined ? undefined : { ...rest, ...(JSON.parse(payload) as AdapterPayload) };
  }

  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    const id = await redis.get(`vanilla:uid:${uid}`);
    return id === null ? undefined : this.find(id);
  }

  async findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    const id = await redis.get(`vanilla:userCode:${userCode}`);
    return id === null ? undefined : this.find(id);
  }

  async consume(id: string): Promise<void> {
    await redis.hSet(this.#key(id), 'consumed', Math.floor(Date.now() / 1000));
  }

  async destroy(id: string): Promise<void> {
    await redis.del(this.#key(id));
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    const grant = `vanilla:grant:${grantId}`;
    const commands = redis.multi();
    for (const key of await redis.lRange(grant, 0, -1)) commands.del(key);
    await commands.del(grant).exec();
  }
}

const HOUR = 3600;
const pairs = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
};
const provider = new Provider(issuer, {
  adapter: PlainAdapter,
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      redirect_uris: [REDIRECT_URI],
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      response_types: ['code'],
      id_token_signed_response_alg: 'ES256',
    },
  ],
  jwks: {
    keys: Object.entries(pairs).map(([alg, { privateKey }]) => ({
      ...privateKey.export({ format: 'jwk' }),
      alg,
      kid: alg,
      use: 'sig',
    })),
  },
  cookies: { keys: ['a key of the benchmark'] },
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'] },
  scopes: ['openid', 'offline_access', 'api:read'],
  findAccount: (_ctx, sub) => ({
    accountId: sub,
    claims: () => ({
      sub,
      name: 'Test User',
      preferred_username: sub,
      email: `${sub}@example.test`,
      email_verified: true,
    }),
  }),
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: {
    Session: 24 * HOUR,
    Grant: 24 * HOUR,
    AccessToken: HOUR,
    AuthorizationCode: 60,
    IdToken: HOUR,
    RefreshToken: 24 * HOUR,
    ClientCredentials: 600,
    Interaction: HOUR,
  },
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => false,
      getResourceServerInfo: () => ({
        scope: 'api:read',
        audience: RESOURCE,
        accessTokenTTL: 600,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});

const handle = provider.callback();
const server = createServer(
  { keepAliveTimeout: 65_000 },
  (request, response) => void handle(request, response),
);
server.listen(Number(PORT), '127.0.0.1');
process.once('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
  redis.destroy();
});
