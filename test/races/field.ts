/** Two server processes on one PostgreSQL and one Redis, with portals registered. */
import { randomBytes } from 'node:crypto';
import { TOTP, Secret } from 'otpauth';
import { exportJWK, generateKeyPair } from 'jose';
import { createApp } from '../../src/app.ts';
import { startGateway } from '../../src/demo/gateway.ts';
import { CIBA, DEVICE_CODE } from '../../src/portals/index.ts';
import { toConfig, type RawEnv } from '../../src/platform/config.ts';
import { freePort } from '../setup/services.ts';
import { lenientLimits, newSecrets } from '../support/app.ts';
import { silentLogger } from '../support/logger.ts';
import { startProcess, type ServerProcess } from '../support/processes.ts';
import { newPerson, newPhonePerson, registerRelyingParty } from '../support/relying-party.ts';
import type { Field } from './races.ts';

export interface RunningField extends Field {
  readonly processes: readonly ServerProcess[];
  readonly env: RawEnv;
  stop(): Promise<void>;
}

export async function startField(stores: { databaseUrl: string; redisUrl: string }): Promise<RunningField> {
  const ports = [await freePort(), await freePort()] as const;
  const gateway = await startGateway();
  const env: RawEnv = {
    ...newSecrets(),
    ...gateway.env,
    DATABASE_URL: stores.databaseUrl,
    REDIS_URL: stores.redisUrl,
    REDIS_KEY_PREFIX: `race-${randomBytes(6).toString('hex')}`,
    // One issuer: both processes stand behind it.
    ISSUER: `http://localhost:${ports[0]}`,
    HOST: '127.0.0.1',
    OUTBOUND_NETWORKS: '127.0.0.0/8,::1/128',
    // Guesses come from wherever a race says, and meet the limits that are shipped.
    TRUSTED_PROXIES: '127.0.0.0/8,::1/128',
    LIMITS: JSON.stringify(lenientLimits(['password', 'one-time-code'])),
  };
  // Both at once, on an empty database.
  const processes = await Promise.all(
    ports.map((port) => startProcess(['serve'], { ...env, PORT: String(port) })),
  );
  const app = await createApp(toConfig(env), { logger: silentLogger });
  const origin = `http://localhost:${ports[0]}`;
  const rps = await Promise.all(
    Array.from({ length: 9 }, (_, i) =>
      registerRelyingParty(
        { app, origin },
        {
          clientId: `race-${i}`,
          registration: { metadata: { grant_types: ['authorization_code', 'refresh_token'] } },
        },
      ),
    ),
  );
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const signingRp = await registerRelyingParty(
    { app, origin },
    {
      clientId: 'race-signing',
      registration: {
        metadata: {
          grant_types: ['authorization_code', 'client_credentials', DEVICE_CODE, CIBA],
          token_endpoint_auth_method: 'private_key_jwt',
          backchannel_token_delivery_mode: 'poll',
          jwks: { keys: [{ ...(await exportJWK(publicKey)) }] },
        },
      },
    },
  );
  const [rp, ...eight] = rps;
  if (!rp) throw new Error('no portal');
  return {
    processes,
    env,
    origins: [origin, `http://localhost:${ports[1]}`],
    rp,
    eight,
    signing: { clientId: 'race-signing', privateKey, rp: signingRp },
    register: (person) => app.identity.register(person),
    async registerWithApp() {
      const person = newPerson();
      const { accountId } = await app.identity.register(person);
      await app.identity.recordProofing(accountId, { level: 3, method: 'counter' }, 'system');
      const { secret } = app.identity.totp.propose('');
      const code = TOTP.generate({ secret: Secret.fromBase32(secret) });
      await app.identity.totp.enrol({ accountId, secret, code });
      return person;
    },
    passkeys: app.identity.passkeys,
    gateway,
    async registerWithPhone() {
      const person = newPhonePerson();
      const { accountId } = await app.identity.register({ ...person, verified: true, language: 'zh-CN' });
      await app.identity.recordProofing(accountId, { level: 3, method: 'counter' }, 'system');
      return { person, accountId, recoveryCodes: await app.identity.recoveryCodes.generate(accountId) };
    },
    async letWait(accountId) {
      await app.db.query(
        `UPDATE recoveries SET ready_at = now() - interval '1 second' WHERE account_id = $1`,
        [accountId],
      );
    },
    async stop() {
      await Promise.all([
        ...[...rps, signingRp].map((portal) => portal.stop()),
        ...processes.map((server) => server.stop()),
      ]);
      await app.stop();
      await gateway.close();
    },
  };
}
