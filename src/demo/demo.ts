/** The main job on an empty machine: the provider, two portals, and a fictional world to try them with. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createApp, type App } from '../app.ts';
import { toConfig, type RawEnv } from '../platform/config.ts';
import { createLogger } from '../platform/logger.ts';
import { developmentSecrets } from '../platform/secrets.ts';
import { provision } from '../provision.ts';
import { startGateway } from './gateway.ts';
import { fictionalWorld, PEOPLE, REGISTERED, SEAL_DESK } from './fictional.ts';
import { walk } from './walk.ts';

export interface DemoOptions {
  readonly env: RawEnv;
  readonly ports: { readonly provider: number; readonly zhejiang: number; readonly guangdong: number };
  /** Does the whole job by itself and ends. */
  readonly once: boolean;
  /** Resolves when a person wants it to end. */
  readonly stopped: Promise<string>;
}

const PORTAL = fileURLToPath(new URL('../../examples/portal/portal.mjs', import.meta.url));
const PORTAL_SCOPES = { zhejiang: 'openid profile phone', guangdong: 'openid' } as const;
const PORTAL_NAMES = { zhejiang: '浙江政务服务网', guangdong: '广东政务服务网' } as const;
/** Nothing listens here: the walk reads the code out of the redirect. */
const SEAL_DESK_ORIGIN = 'http://127.0.0.1:3003';
const say = (line = '') => process.stdout.write(`${line}\n`);

/** @returns the exit code. */
export async function runDemo({ env, ports, once, stopped }: DemoOptions): Promise<number> {
  const origins = {
    issuer: `http://localhost:${ports.provider}`,
    zhejiang: `http://localhost:${ports.zhejiang}`,
    guangdong: `http://localhost:${ports.guangdong}`,
    sealDesk: SEAL_DESK_ORIGIN,
  };
  const server = env['DATABASE_URL'] !== undefined;
  // In server mode there is no page with the messages: a gateway that delivers nothing takes them, and they are printed.
  const gateway =
    server && env['SMS_GATEWAY_URL'] === undefined
      ? await startGateway((to, words) => once || say(`\n  to ${to}: ${words}`))
      : undefined;
  const settings = toConfig({
    ...gateway?.env,
    OUTBOUND_NETWORKS: '127.0.0.0/8,::1/128',
    HOST: '127.0.0.1',
    ...developmentSecrets(env['KEYS_DIRECTORY'] ?? 'keys', true),
    ...env,
    ISSUER: origins.issuer,
    PORT: String(ports.provider),
  });
  const { config } = settings;
  const portals: ChildProcess[] = [];
  let app: App | undefined;
  let exitCode = 0;
  try {
    app = await createApp(settings, { logger: createLogger('warn') });
    const secrets = await makeWorld(app, config.keysDirectory, origins);
    await app.start().catch((cause: unknown) => {
      throw new Error(`Port ${ports.provider} cannot be used; choose another with --port.`, { cause });
    });
    for (const name of ['zhejiang', 'guangdong'] as const)
      portals.push(
        await startPortal(name, {
          issuer: origins.issuer,
          port: ports[name],
          origin: origins[name],
          secret: secrets[name] ?? '',
        }),
      );
    printTable(origins);
    if (!gateway && !once) say(`\n  Messages to phones and mailboxes are on ${origins.issuer}/outbox`);
    if (once) {
      const directory = join(config.dataDirectory, 'demo');
      exitCode = (await walk({
        app,
        origins,
        sealDesk: { clientId: SEAL_DESK, secret: secrets[SEAL_DESK] ?? '' },
        inbox: gateway ?? origins.issuer,
        directory,
        say,
      }))
        ? 0
        : 1;
    } else {
      say('\nCtrl-C ends everything.');
      const why = await Promise.race([
        stopped,
        ...portals.map((child) => ended(child).then(() => 'a portal ended')),
      ]);
      say(`\nEnding: ${why}.`);
    }
  } finally {
    for (const child of portals) child.kill('SIGTERM');
    await Promise.all(portals.map((child) => ended(child)));
    await app?.stop();
    await gateway?.close();
  }
  return exitCode;
}

/** Opens the accounts, brings the fictional world about, and returns the portals' secrets, kept for the next start. */
async function makeWorld(
  app: App,
  keysDirectory: string,
  origins: Parameters<typeof fictionalWorld>[0],
): Promise<Record<string, string>> {
  for (const person of Object.values(PEOPLE))
    if ((await app.identity.find(person.identifier)) === undefined) await app.identity.register(person);
  const world = fictionalWorld(origins);
  const made = await provision(app, world);

  const path = join(keysDirectory, 'demo-portal-secrets.json');
  const kept = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>) : {};
  const secrets: Record<string, string> = {};
  for (const { clientId } of world.portals ?? []) {
    const fromFile = kept[clientId];
    const stillGood = fromFile !== undefined && (await app.portals.checkSecret(clientId, fromFile));
    secrets[clientId] =
      made.secrets.get(clientId) ?? (stillGood ? fromFile : await app.portals.issueSecret(clientId));
  }
  mkdirSync(keysDirectory, { recursive: true, mode: 0o700 });
  writeFileSync(path, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 });
  return secrets;
}

async function startPortal(
  name: keyof typeof PORTAL_SCOPES,
  options: { issuer: string; port: number; origin: string; secret: string },
): Promise<ChildProcess> {
  const child = spawn(process.execPath, [PORTAL], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      ISSUER: options.issuer,
      CLIENT_ID: name,
      CLIENT_SECRET: options.secret,
      PORT: String(options.port),
      NAME: PORTAL_NAMES[name],
      SCOPE: PORTAL_SCOPES[name],
    },
  });
  for (let attempt = 0; attempt < 100; attempt++) {
    if (child.exitCode !== null) break;
    const up = await fetch(`${options.origin}/events`).then(
      (response) => response.ok,
      () => false,
    );
    if (up && child.exitCode === null) return child;
    await setTimeout(100);
  }
  child.kill('SIGTERM');
  throw new Error(
    `The portal ${PORTAL_NAMES[name]} did not start on port ${options.port}; choose another with --${name}-port.`,
  );
}

function ended(child: ChildProcess): Promise<unknown> {
  return child.exitCode === null && child.signalCode === null
    ? new Promise((resolve) => child.once('exit', resolve))
    : Promise.resolve();
}

function printTable(origins: { issuer: string; zhejiang: string; guangdong: string }): void {
  say(`
  印信统一身份认证   ${origins.issuer}
  浙江政务服务网     ${origins.zhejiang}
  广东政务服务网     ${origins.guangdong}

  fictional people   user name       password
  citizen            ${PEOPLE.citizen.identifier.padEnd(15)} ${PEOPLE.citizen.password}
  seal officer       ${PEOPLE.officer.identifier.padEnd(15)} ${PEOPLE.officer.password}
  administrator      ${PEOPLE.administrator.identifier.padEnd(15)} ${PEOPLE.administrator.password}
  seal keeper        ${PEOPLE.keeper.identifier.padEnd(15)} ${PEOPLE.keeper.password}
  auditor            ${PEOPLE.auditor.identifier.padEnd(15)} ${PEOPLE.auditor.password}
  agent by mandate   ${PEOPLE.accountant.identifier.padEnd(15)} ${PEOPLE.accountant.password}

  invented documents to prove who one is with, at ${origins.issuer}/account/identity
${REGISTERED.map(({ name, number, phone }) => `  ${name.padEnd(8, '　')} ${number}  ${phone}`).join('\n')}`);
}
