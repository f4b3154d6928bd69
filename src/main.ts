/** The command line. Only this file reads the environment and the arguments. */
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ZodError, prettifyError } from 'zod';
import { createApp, openToken, type App } from './app.ts';
import { checkChain } from './audit/index.ts';
import { makeWrappingKey, restoreWrappingKey, shareWrappingKey } from './ceremonies.ts';
import { makeTokenWrappingKey } from './custody/index.ts';
import { runDemo } from './demo/demo.ts';
import type { OrganisationState } from './organisations/index.ts';
import { ConfigError, readEnv, toConfig, type RawEnv } from './platform/config.ts';
import { migrate } from './platform/db/migrate.ts';
import { connectPg } from './platform/db/pg.ts';
import { openPglite } from './platform/db/pglite.ts';
import { AppError } from './platform/errors.ts';
import { createLogger } from './platform/logger.ts';
import { provision } from './provision.ts';
import type { Pass, Rotation } from './rotation/index.ts';

const USAGE = `yinxin <command>

  serve               start the server (DATABASE_URL and REDIS_URL: server mode; neither: embedded)
  demo [--once]       everything on an empty machine, with fictional people; --once does the whole job and ends
       [--port 3000] [--zhejiang-port 3001] [--guangdong-port 3002]
  migrate             bring the database to the newest version
  provision <file>    bring portals, organisations, units and seals to what a JSON file describes
  portals             every portal with its state
  portals approve|suspend <client_id>
  portals secret <client_id> [--others-expire <seconds>]
                      a new secret, shown once; the ones before stop after that time, or stay
  portals token [--seconds 3600] [--without-pkce]
                      an initial access token, with which one portal may register itself
  accounts lock|unlock|sign-out <identifier>
  accounts proof <identifier> <level> <method>
                      record how sure it is who the holder is: 0 nothing checked ... 4 in person
  accounts release <identifier>
                      take the document away from an account, so that its person can be proofed elsewhere
  organisations <code>
                      state, roles by account, and what waits for a second person, of the one with this unified social credit code
  organisations suspend|resume|dissolve <code>
  organisations approve|refuse <code> <act>
                      be the second person, where an organisation has none; approve also has it done
  keys                the keys that sign tokens
  keys rotate [--now] announce new ones, which sign by schedule; --now: at once, and the old ones are gone
  keys status         keys in custody by purpose, type, place and state; what lies under which wrapping key
  keys ceremony --out <folder> [--shares 5] [--threshold 3]
                      a new wrapping key, in a file for KEY_ENCRYPTION_KEY_FILE, and its shares
  keys ceremony --token <label>
                      a new wrapping key in the token (PKCS11_WRAPPING_KEY), which it never leaves
  keys backup --out <folder> [--shares 5] [--threshold 3]
                      the present wrapping key in shares
  keys restore <share> <share> ... --out <file>
                      the wrapping key from its shares
  keys rewrap         wrap the data keys of all units anew, under the present wrapping key
  data-keys           what is encrypted under which data key, and which keys nobody needs any more
  data-keys rotate [--wait]
                      look everything through again and bring it under DATA_KEY; --wait: until it is done
  certificates        the certificate authorities, and their revocation lists
  certificates revoke <id> <reason> [--invalid-since <time>]
                      revoke a certificate for good; reasons as in RFC 5280: keyCompromise, superseded, cessationOfOperation ...
  reports             misuse that people reported of their accounts, and nobody has settled
  reports settle <id>
  logouts [resend]    logout calls that portals have not accepted; resend puts those given up back
  messages [resend]   messages that no gateway or mail server has taken, without address and text; resend puts those given up back
  audit check         walk the audit chain and name the first thing that is wrong
`;

const COMMANDS: Readonly<Record<string, (args: string[], env: RawEnv) => Promise<number>>> = {
  serve,
  demo,
  migrate: migrateOnly,
  provision: provisionFrom,
  portals,
  accounts,
  organisations,
  keys,
  'data-keys': dataKeys,
  certificates,
  reports,
  logouts,
  messages,
  audit,
};

async function serve(_args: string[], env: RawEnv): Promise<number> {
  const settings = toConfig(env);
  const { config } = settings;
  const logger = createLogger(config.logLevel);
  const stopped = stopSignal();
  const app = await createApp(settings, { logger });
  try {
    const port = await app.start();
    logger.info({ mode: config.mode, issuer: config.issuer, port }, 'ready');
    if (config.mode === 'embedded')
      logger.warn(
        'embedded mode: one process, sessions in memory, development secrets. Set DATABASE_URL and REDIS_URL for server mode.',
      );
    if (app.messages.channels.size === 0)
      logger.warn('neither SMTP_URL nor SMS_GATEWAY_URL is set: nobody can register or recover an account');
    const signal = await stopped;
    logger.info({ signal }, 'stopping');
  } finally {
    await app.stop();
  }
  return 0;
}

async function demo(args: string[], env: RawEnv): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      once: { type: 'boolean', default: false },
      port: { type: 'string', default: '3000' },
      'zhejiang-port': { type: 'string', default: '3001' },
      'guangdong-port': { type: 'string', default: '3002' },
    },
  });
  const ports = {
    provider: Number(values.port),
    zhejiang: Number(values['zhejiang-port']),
    guangdong: Number(values['guangdong-port']),
  };
  return runDemo({ env, ports, once: values.once, stopped: stopSignal() });
}

async function migrateOnly(_args: string[], env: RawEnv): Promise<number> {
  const { config } = toConfig(env);
  const { database } = config;
  const logger = createLogger(config.logLevel);
  const db =
    database.kind === 'pglite'
      ? await openPglite(database.directory)
      : connectPg(database.url, { poolSize: 2, logger });
  try {
    logger.info({ applied: await migrate(db) }, 'the database is current');
  } finally {
    await db.close();
  }
  return 0;
}

async function provisionFrom([file]: string[], env: RawEnv): Promise<number> {
  if (file === undefined) return usage();
  const description: unknown = JSON.parse(readFileSync(file, 'utf8'));
  return withApp(env, async (app) => {
    const { secrets, missingOfficers } = await provision(app, description);
    for (const [clientId, secret] of secrets) print(`${clientId} client_secret ${secret}`);
    for (const identifier of missingOfficers)
      print(`${identifier} has no account yet; run this again after registration`);
    return missingOfficers.length === 0 ? 0 : 1;
  });
}

async function portals([act, ...rest]: string[], env: RawEnv): Promise<number> {
  const { values, positionals } = parseArgs({
    args: rest,
    allowPositionals: true,
    options: {
      'others-expire': { type: 'string' },
      seconds: { type: 'string', default: '3600' },
      'without-pkce': { type: 'boolean', default: false },
    },
  });
  const [clientId] = positionals;
  return withApp(env, async (app) => {
    if (act === undefined)
      for (const portal of await app.portals.all())
        print(`${portal.clientId} ${portal.state} ${portal.profile} ${portal.homeUri}`);
    else if (act === 'token') {
      const codeChallenge = values['without-pkce'] ? 'optional' : 'required';
      print(await app.oidc.issueInitialAccessToken({ seconds: Number(values.seconds), codeChallenge }));
    } else if (clientId === undefined) return usage();
    else if (act === 'approve') await app.portals.setState(clientId, 'approved', 'operator');
    else if (act === 'suspend') await app.portals.setState(clientId, 'suspended', 'operator');
    else if (act === 'secret') {
      const seconds = values['others-expire'];
      const options = seconds === undefined ? {} : { othersExpireAfter: Number(seconds) };
      print(`${clientId} client_secret ${await app.portals.issueSecret(clientId, options)}`);
    } else return usage();
    return 0;
  });
}

async function accounts([act, identifier, level, method]: string[], env: RawEnv): Promise<number> {
  if (identifier === undefined) return usage();
  return withApp(env, async (app) => {
    const accountId = await app.identity.findInAnyState(identifier);
    if (accountId === undefined) {
      print('There is no such account.');
      return 1;
    }
    if (act === 'lock') await app.lockAccount(accountId, 'operator');
    else if (act === 'unlock') await app.identity.setState(accountId, 'active', 'operator');
    else if (act === 'sign-out') await app.oidc.signOutEverywhere(accountId, 'operator', 'operator');
    else if (act === 'release') await app.releaseDocument(accountId, 'operator');
    else if (act === 'proof' && level !== undefined && /^[0-4]$/.test(level) && method !== undefined)
      await app.identity.recordProofing(accountId, { level: Number(level), method }, 'operator');
    else return usage();
    return 0;
  });
}

async function organisations(args: string[], env: RawEnv): Promise<number> {
  const [act, code, actId] = args.length === 1 ? ['show', ...args] : args;
  const state = ORGANISATION_STATES.get(act ?? '');
  if (code === undefined) return usage();
  return withApp(env, async (app) => {
    const organisation = await app.organisations.findByCode(code);
    if (!organisation) {
      print('There is no such organisation.');
      return 1;
    }
    const { id: scope } = organisation;
    if (state !== undefined) await app.organisations.setState(scope, state, 'operator');
    else if (act === 'approve' && actId !== undefined) {
      const found = await app.dualControl.find(scope, actId);
      const approval = { scope, id: actId, by: 'operator' };
      await app.dualControl.approve({ ...approval, digest: found?.digest ?? '' });
      await app.dualControl.execute(approval);
    } else if (act === 'refuse' && actId !== undefined)
      await app.dualControl.refuse({ scope, id: actId, by: 'operator' });
    else if (act !== 'show') return usage();
    const now = await app.organisations.organisation(scope);
    print(`${scope} ${now?.state ?? ''} ${organisation.kind} ${organisation.region}`);
    for (let after: string | undefined, page = 1; page > 0;) {
      const members = await app.organisations.members({ organisationId: scope }, { limit: 200, after });
      for (const { unit, role, accountId } of members) print(`${unit?.id ?? scope} ${role} ${accountId}`);
      after = members.at(-1)?.id;
      page = members.length;
    }
    for (const open of await app.dualControl.list(scope, { openOnly: true }))
      print(`${open.id} ${open.act} ${JSON.stringify(open.parameters)} asked by ${open.requestedBy}`);
    return 0;
  });
}

const ORGANISATION_STATES: ReadonlyMap<string, OrganisationState> = new Map([
  ['suspend', 'suspended'],
  ['resume', 'active'],
  ['dissolve', 'dissolved'],
]);

async function keys([act, ...rest]: string[], env: RawEnv): Promise<number> {
  const { values, positionals } = parseArgs({
    args: rest,
    allowPositionals: true,
    options: {
      now: { type: 'boolean', default: false },
      shares: { type: 'string', default: '5' },
      threshold: { type: 'string', default: '3' },
      out: { type: 'string' },
      token: { type: 'string' },
    },
  });
  const sharing = { shares: Number(values.shares), threshold: Number(values.threshold) };
  switch (act) {
    case 'ceremony':
      if (values.token !== undefined) return makeKeyInToken(values.token, env);
      if (values.out === undefined) return usage();
      print(`wrapping key ${await makeWrappingKey({ ...sharing, folder: values.out })}`);
      return 0;
    case 'backup': {
      if (values.out === undefined) return usage();
      const { keyEncryptionKey } = toConfig(env).secrets;
      if (!keyEncryptionKey) {
        print('The wrapping key is in a token, which gives it to nobody. Use what its maker has for copies.');
        return 1;
      }
      print(`wrapping key ${await shareWrappingKey(keyEncryptionKey, { ...sharing, folder: values.out })}`);
      return 0;
    }
    case 'restore':
      if (values.out === undefined || positionals.length === 0) return usage();
      print(`wrapping key ${await restoreWrappingKey(positionals, values.out)}`);
      return 0;
    case 'status':
      return withApp(env, keysStatus);
    case 'rewrap':
      return withApp(env, async (app) => {
        await app.custody.rewrapping.run({
          onProgress: (done, left) => print(`${done} wrapped anew, ${left} left`),
        });
        return 0;
      });
    case undefined:
    case 'rotate':
      return withApp(env, async (app) => {
        if (act === 'rotate') await app.tokenKeys.rotate({ now: values.now });
        for (const key of await app.tokenKeys.all())
          print(`${key.keyId} ${key.alg} ${key.state} since ${key.since.toISOString()}`);
        return 0;
      });
    default:
      return usage();
  }
}

/** Makes a wrapping key in the token that the environment names. Nothing else is started: there may be no wrapping key yet. */
async function makeKeyInToken(label: string, env: RawEnv): Promise<number> {
  const token = await openToken(toConfig(env));
  if (!token) {
    print('PKCS11_MODULE, PKCS11_TOKEN and PKCS11_PIN say which token.');
    return 1;
  }
  try {
    print(`wrapping key ${await makeTokenWrappingKey(token, label)}`);
  } finally {
    await token.close();
  }
  return 0;
}

async function keysStatus({ custody }: App): Promise<number> {
  for (const use of await custody.rewrapping.uses())
    print(
      `wrapping key ${use.id} ${use.current ? 'wraps' : use.known ? 'is known' : 'is not known here'}, ${use.dataKeys} data keys under it`,
    );
  for (const { purpose, keyType, driver, state, keys: n } of await custody.count())
    print(`${n} ${purpose} ${keyType} ${driver} ${state}`);
  const erased = await custody.eraseDestroyed();
  if (erased > 0) print(`${erased} destroyed keys erased from the token`);
  return 0;
}

async function dataKeys([act, ...rest]: string[], env: RawEnv): Promise<number> {
  const { values } = parseArgs({ args: rest, options: { wait: { type: 'boolean', default: false } } });
  if (act !== undefined && act !== 'rotate') return usage();
  return withApp(env, async ({ rotation }) => {
    if (act === 'rotate') await rotation.again();
    if (act === 'rotate' && !values.wait)
      print('Everything will be looked through, once no process encrypts with another key.');
    if (values.wait) await rotateToTheEnd(rotation);
    const counted = await rotation.count();
    for (const { name, records } of counted) {
      const sum = [...records.values()].reduce((total, n) => total + n, 0);
      const shares = [...records].map(
        ([id, n]) => `, ${n} (${Math.floor((100 * n) / sum)} %) under ${id || 'a key that they do not name'}`,
      );
      print(`${name} ${sum} records${shares.join('')}`);
    }
    for (const key of await rotation.keys()) {
      const standing = key.current
        ? 'encrypts'
        : !key.known
          ? 'is not known here'
          : key.empty
            ? 'has nothing under it and may be dropped'
            : 'is still needed';
      print(`key ${key.id} ${standing}`);
    }
    return 0;
  });
}

async function certificates([act, ...rest]: string[], env: RawEnv): Promise<number> {
  const { values, positionals } = parseArgs({
    args: rest,
    allowPositionals: true,
    options: { 'invalid-since': { type: 'string' } },
  });
  const [certificateId, reason] = positionals;
  const since = values['invalid-since'];
  const invalidSince = since === undefined ? undefined : new Date(since);
  const isAct = act === 'revoke' && certificateId !== undefined && reason !== undefined;
  if ((act !== undefined && !isAct) || Number.isNaN(invalidSince?.getTime())) return usage();
  return withApp(env, async ({ db, certification }) => {
    if (isAct)
      await db.transaction((tx) =>
        certification.certificates.revoke(tx, { certificateId, reason, invalidSince, actor: 'operator' }),
      );
    await certification.maintain();
    for (const {
      id,
      hierarchy,
      profile,
      certificate,
      revocation,
    } of await certification.certificates.authorities()) {
      const list = await certification.lists.find(id);
      const standing = revocation ? `revoked (${revocation.reason})` : 'in force';
      print(
        `${id} ${hierarchy} ${profile} ${standing} until ${certificate.notAfter.toISOString()}, list of ${list?.thisUpdate.toISOString() ?? 'never'}`,
      );
    }
    return 0;
  });
}

/** Works, or watches another process work, until there is nothing left; says how far it is when that has changed. */
async function rotateToTheEnd(rotation: Rotation): Promise<void> {
  let said = '';
  for (;;) {
    const outcome = await rotation.step();
    const passes = await rotation.passes();
    const [records, left] = [sumOf(passes, 'records'), sumOf(passes, 'recordsLeft')];
    const line =
      outcome === 'waits'
        ? 'waiting: a process still encrypts with another key'
        : `${records === 0 ? 100 : Math.floor((100 * (records - left)) / records)} % of ${records} records`;
    if (line !== said) print(line);
    said = line;
    if (outcome === 'done') return;
    if (outcome !== 'worked') await setTimeout(1000);
  }
}

function sumOf(passes: readonly Pass[], field: 'records' | 'recordsLeft'): number {
  return passes.reduce((sum, pass) => sum + pass[field], 0);
}

/** Runs `work` with the program started but not listening. */
async function withApp(env: RawEnv, work: (app: App) => Promise<number>): Promise<number> {
  const app = await createApp(toConfig(env), { logger: createLogger('warn') });
  try {
    return await work(app);
  } finally {
    await app.stop();
  }
}

async function reports([act, id]: string[], env: RawEnv): Promise<number> {
  if (act !== undefined && (act !== 'settle' || id === undefined)) return usage();
  return withApp(env, async (app) => {
    const { misuseReports } = app.identity;
    if (id !== undefined && !(await misuseReports.settle(id, 'operator'))) {
      print('There is no such open report.');
      return 1;
    }
    for (const report of await misuseReports.open())
      print(
        `${report.id} ${report.reportedAt.toISOString()} ${report.accountId} ${report.kind} ${report.about}`,
      );
    return 0;
  });
}

async function logouts([act]: string[], env: RawEnv): Promise<number> {
  if (act !== undefined && act !== 'resend') return usage();
  return withApp(env, async (app) => {
    if (act === 'resend') print(`${await app.logouts.resend()} put back`);
    for (const call of await app.logouts.undelivered())
      print(
        `${call.id} ${call.clientId} ${call.state} after ${call.attempts} tries: ${call.lastProblem ?? 'not tried yet'}`,
      );
    return 0;
  });
}

async function messages([act]: string[], env: RawEnv): Promise<number> {
  if (act !== undefined && act !== 'resend') return usage();
  return withApp(env, async (app) => {
    if (act === 'resend') print(`${await app.messages.resend()} put back`);
    for (const message of await app.messages.undelivered())
      print(
        `${message.id} ${message.channel} ${message.kind} ${message.state} after ${message.attempts} tries: ${message.lastProblem ?? 'not tried yet'}`,
      );
    return 0;
  });
}

async function audit([act]: string[], env: RawEnv): Promise<number> {
  if (act !== 'check') return usage();
  return withApp(env, async (app) => {
    const { entries, finding } = await checkChain(app.audit);
    print(finding ? `entry ${finding.seq}: ${finding.problem}` : `${entries} entries, chain intact`);
    return finding ? 1 : 0;
  });
}

function usage(): number {
  process.stderr.write(USAGE);
  return 2;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Resolves with the first SIGINT or SIGTERM; a second one ends the process at once. */
function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => {
        resolve(signal);
        process.once(signal, () => process.exit(130));
      });
  });
}

/** Says what a person can act on; a stack is for what nobody foresaw. */
function explain(error: unknown): string {
  if (error instanceof ZodError) return prettifyError(error);
  if (error instanceof ConfigError || error instanceof AppError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

const [command = '', ...args] = process.argv.slice(2);
try {
  process.exitCode = await (COMMANDS[command]?.(args, readEnv(process.env)) ?? usage());
} catch (error) {
  process.stderr.write(`${explain(error)}\n`);
  process.exitCode = 1;
}
