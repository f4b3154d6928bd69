/** The one composition root: settings -> stores -> rooms -> shells -> Koa. Nothing else knows how the parts are joined. */
import Koa from 'koa';
import { forgetRequests } from './api/idempotency.ts';
import { apiRoutes } from './api/routes.ts';
import { createAuditLog, type AuditLog } from './audit/index.ts';
import { registerEventRoute } from './api/register-events.ts';
import { accountRoutes } from './console/account/routes.ts';
import { certificationRoutes, createCertification, type Certification } from './certification/index.ts';
import { consoleRoutes } from './console/routes.ts';
import { liveCheckRoutes } from './demo/live-check.ts';
import {
  connectToken,
  createCustody,
  custodyActs,
  PROVIDER,
  keysInToken,
  tokenWrappingKey,
  type Custody,
  type KeyPurpose,
  type MayActOnKeys,
  type TokenConnection,
} from './custody/index.ts';
import { outboxRoute } from './console/outbox.ts';
import { recoveryStopRoute } from './console/recovery-stop.ts';
import { createDualControl, type DualControl } from './dual-control/index.ts';
import {
  createAccountCache,
  createAuthorities,
  createCarriers,
  createIdentity,
  createLimits,
  createMemoryLimitStore,
  createMessages,
  createPasswordHasher,
  createPasswordPolicy,
  createRedisLimitStore,
  IDENTITY_TABLES,
  createRegisterEvents,
  createUpstream,
  toLimitPlan,
  toPasswordRules,
  type Identity,
  type Messages,
} from './identity/index.ts';
import {
  createLogoutOutbox,
  createMemoryStore,
  createOidc,
  createRedisStore,
  createTokenKeys,
  eraseConsents,
  OIDC_TABLES,
  moveReleases,
  moveSubjects,
  SCOPES,
  UPSTREAM_RETURN_PATH,
  storeHolding,
  type LogoutOutbox,
  type Oidc,
  type TokenKeys,
} from './oidc/index.ts';
import {
  createOrganisationRegister,
  createOrganisations,
  FOUNDING_LEVEL,
  type Organisations,
} from './organisations/index.ts';
import type { Signer } from './pki/index.ts';
import { systemClock, type Clock } from './platform/clock.ts';
import type { Config, Settings } from './platform/config.ts';
import type { Db } from './platform/db/db.ts';
import { migrate } from './platform/db/migrate.ts';
import { connectPg } from './platform/db/pg.ts';
import { openPglite } from './platform/db/pglite.ts';
import { loadAssets } from './platform/http/assets.ts';
import { createClientAddress } from './platform/http/client-address.ts';
import type { RequestState } from './platform/http/context.ts';
import { createCookieKeys } from './platform/http/cookie-keys.ts';
import { answerDirectly } from './platform/http/direct.ts';
import { answerErrors, observe } from './platform/http/edge.ts';
import { createForms } from './platform/http/forms.ts';
import { operations } from './platform/http/operations.ts';
import { createOutboundFetch } from './platform/http/outbound.ts';
import { createPages } from './platform/http/pages.ts';
import { createPreferences } from './platform/http/preferences.ts';
import { speakFor } from './platform/http/origin.ts';
import { listen } from './platform/http/server.ts';
import { headerTwice } from './platform/http/unambiguous.ts';
import { loadLanguages, type Languages } from './platform/i18n.ts';
import { isId, type AccountId } from './platform/ids.ts';
import type { Logger } from './platform/logger.ts';
import { createMetrics } from './platform/metrics.ts';
import { connectRedis } from './platform/redis.ts';
import { createPortals, createResources, ownPortal, type Portals, type Resources } from './portals/index.ts';
import { createRotation, joinProcesses, tableHolding, type Rotation } from './rotation/index.ts';
import { createSeals, type Seals } from './seals/index.ts';

export interface App {
  readonly db: Db;
  readonly audit: AuditLog;
  readonly custody: Custody;
  readonly identity: Identity;
  readonly organisations: Organisations;
  /** What takes two persons. */
  readonly dualControl: DualControl;
  readonly portals: Portals;
  readonly resources: Resources;
  readonly tokenKeys: TokenKeys;
  readonly oidc: Oidc;
  readonly certification: Certification;
  readonly seals: Seals;
  /** Logout calls that portals have not accepted. */
  readonly logouts: LogoutOutbox;
  /** Messages to people. */
  readonly messages: Messages;
  /** Brings everything under the current data key. */
  readonly rotation: Rotation;
  /** Locks an account: it signs in nowhere, and everywhere it is signed in ends. */
  lockAccount(accountId: string, actor: string): Promise<void>;
  /** Takes the document away from an account, as at a counter: its person can be proofed with it elsewhere. Every session ends. */
  releaseDocument(accountId: string, actor: string): Promise<void>;
  /** Closes an account for good, as its person asks: what names them is removed, and everywhere they are signed in ends. */
  closeAccount(accountId: AccountId): Promise<void>;
  /** Changes a password; every session that was begun with the old one ends. @throws {IdentityError} */
  changePassword(change: Parameters<Identity['passwords']['change']>[0]): Promise<void>;
  /** Starts to answer. @returns the port. */
  start(): Promise<number>;
  /** Drains, then closes: no new connection, requests in flight end, then the stores. */
  stop(): Promise<void>;
}

/** As certificates and authenticator apps show it. */
const SERVICE_NAME = 'Yinxin';
/** How often it is looked for what is kept no longer. */
const FORGET_MS = 3_600_000;
/** Any number that nothing else in the database locks. */
const FIRST_START_LOCK = 20_260_102;

/** What requests wait for, and what can fail. */
export type Port = 'database' | 'sessions' | 'limits' | 'hasher';

export interface Tools {
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Default: those that are shipped. */
  readonly languages?: Languages;
  /** Comes between the rooms and a port, to count what goes through or to let it fail. Default: nothing does. */
  readonly through?: <T extends object>(port: Port, made: T) => T;
}

/** Builds the whole program. When it resolves the stores are connected, the database is current, and the provider's keys exist. */
export async function createApp(settings: Settings, tools: Tools): Promise<App> {
  const { config, secrets } = settings;
  const {
    logger,
    clock = systemClock,
    languages = loadLanguages({ timeZone: config.timeZone }),
    through = (_port, made) => made,
  } = tools;
  const closing: (() => Promise<unknown>)[] = [];
  let stopping = false;
  const limitPlan = toLimitPlan(config.limits);
  const passwordRules = toPasswordRules(config.passwordRules);

  try {
    // Its thread starts while the stores are connected.
    const hasher = createPasswordHasher({
      cost: config.argon2,
      pepper: secrets.passwordPepper,
      otherPeppers: secrets.otherPasswordPeppers,
      queue: config.passwordQueue,
      logger,
    });
    hasher.catch(() => undefined);
    closing.unshift(async () => (await hasher).stop());
    const database = await openDb(config, logger);
    closing.unshift(() => database.close());
    const db = through('database', database);
    const applied = await migrate(db);
    if (applied.length > 0) logger.info({ applied }, 'the database was migrated');
    const redis = config.redis === undefined ? undefined : await connectRedis(config.redis.url, logger);
    if (redis) closing.unshift(() => redis.close());

    const metrics = createMetrics();
    // The log's own key lives in custody, and custody records what it does in the log: each is given the other when it is needed.
    const audit: AuditLog = createAuditLog({
      db,
      clock,
      signer: once(() => providerSigner(custody, 'audit')),
    });
    const presence = await joinProcesses({ db, clock, audit, logger, dataKeys: secrets.dataKeys });
    closing.unshift(() => presence.leave());
    const token = await openToken(settings);
    if (token) closing.unshift(() => token.close());
    const custody = createCustody({
      db,
      clock,
      audit,
      ...(await wrappingKeysOf(settings, token)),
      token: token && keysInToken(token),
      driver: config.token?.makesKeys ? 'pkcs11' : 'envelope',
    });
    closing.unshift(() => custody.stop());
    await custody.start();
    const passwords = await hasher;
    metrics.watchPasswords(() => passwords.depth());
    const { carriers, development, close } = createCarriers({ config, languages, clock });
    closing.unshift(async () => close());
    const messages = createMessages({ db, clock, logger, dataKeys: secrets.dataKeys, languages, carriers });
    closing.unshift(() => messages.stop());
    messages.start();
    const store = through(
      'sessions',
      redis ? createRedisStore(redis, config.redisKeyPrefix) : createMemoryStore(clock),
    );
    const authorities = createAuthorities(settings.sources.authorities, {
      db,
      clock,
      logger,
      issuer: config.issuer,
      outboundNetworks: config.outboundNetworks,
      outboundAuthorities: config.outboundAuthorities,
    });
    const outbound = createOutboundFetch(config.outboundNetworks, config.outboundAuthorities);
    const upstreams = settings.sources.upstreams.map((source) =>
      createUpstream(source, {
        clock,
        logger,
        fetch: outbound,
        redirectUri: `${config.issuer}${UPSTREAM_RETURN_PATH}`,
      }),
    );
    const organisations = createOrganisations({
      db,
      clock,
      audit,
      facts: {
        serviceExists: async (name) =>
          (await portals.find(name)) !== undefined || resources.find(name) !== undefined,
        unitOfSeal: (q, sealId) => seals.registry.unitOf(q, sealId),
      },
      register: createOrganisationRegister(settings.sources.organisationRegister, {
        ...config,
        clock,
        logger,
      }),
      request: (tx, request) => dualControl.request(tx, request),
      async person(accountId) {
        const account = await identity.account(accountId);
        return account && account.proofing >= FOUNDING_LEVEL ? identity.persons.person(accountId) : undefined;
      },
    });
    const dualControl = createDualControl({
      db,
      clock,
      audit,
      acts: { ...organisations.acts, ...custodyActs(custody, mayActOnKeys(organisations)) },
    });
    const identity = createIdentity({
      db,
      clock,
      audit,
      dataKeys: secrets.dataKeys,
      passwords: through('hasher', passwords),
      passwordPolicy: createPasswordPolicy({
        rules: passwordRules,
        context: [
          SERVICE_NAME,
          new URL(config.issuer).hostname,
          ...languages.all.map(({ t }) => t('service.name')),
        ],
      }),
      messages,
      serviceName: SERVICE_NAME,
      issuer: config.issuer,
      recoveryWaitHours: config.recoveryWaitHours,
      passkeyAuthorities: config.passkeyAuthorities,
      takeOnce: (name, ttlSeconds) => store.putOnce('PasskeyChallenge', name, '1', ttlSeconds),
      authorities: authorities.all,
      upstreams,
      onMerge: [moveSubjects, moveReleases, organisations.moveMemberships],
      onClose: [eraseConsents, forgetRequests, organisations.mandates.revokeOfAgent],
    });
    const means = {
      proofing: Math.max(identity.proofing.attainable, ...upstreams.map(({ attainable }) => attainable)),
    };
    const limits = createLimits({
      store: through(
        'limits',
        redis ? createRedisLimitStore(redis, config.redisKeyPrefix, clock) : createMemoryLimitStore(clock),
      ),
      plan: limitPlan,
      dataKeys: secrets.dataKeys,
      metrics,
    });
    const accounts = await createAccountCache({ db, identity });
    closing.unshift(() => accounts.stop());
    const portals: Awaited<ReturnType<typeof createPortals>> = await createPortals({
      db,
      clock,
      audit,
      scopes: Object.keys(SCOPES),
      builtIn: [ownPortal(config.issuer)],
      check: (portal) => oidc.checkPortal(portal),
    });
    closing.unshift(() => portals.stop());
    const resources = await createResources({ db, clock, audit });
    closing.unshift(() => resources.stop());
    const certification = createCertification({
      db,
      clock,
      audit,
      custody,
      logger,
      serviceName: SERVICE_NAME,
      ...config.certification,
    });
    closing.unshift(() => certification.stop());
    const { certificates } = certification;
    const seals = createSeals({ db, clock, audit, custody, organisations, certificates });
    await makeProviderKeys(db, custody, certification);
    await certification.start();

    const forms = createForms({ issuer: config.issuer, dataKeys: secrets.dataKeys });
    const assets = loadAssets();
    const pages = createPages({ languages, assets, forms, clock });
    const preferences = createPreferences(languages, config.issuer);
    const logouts = createLogoutOutbox({ db, clock, logger });
    closing.unshift(() => logouts.stop());
    const tokenKeys = await createTokenKeys({ db, clock, audit, custody, logger, plan: config.tokenKeys });
    closing.unshift(() => tokenKeys.stop());
    const oidc: Oidc = await createOidc({
      config,
      secrets,
      db,
      store,
      clock,
      logger,
      metrics,
      audit,
      identity,
      accounts,
      means,
      organisations,
      trustFrameworks: [...authorities.all, ...upstreams].map(({ trustFramework }) => trustFramework),
      organizationOf: (id) =>
        [...authorities.all, ...upstreams].find((each) => each.id === id)?.name['zh-CN'] ?? id,
      limits,
      portals,
      resources,
      tokenKeys,
      languages: languages.all.map(({ code }) => code),
      forms,
      pages,
      preferences,
      logouts,
    });

    const rotation = createRotation({
      db,
      clock,
      audit,
      logger,
      metrics,
      dataKeys: secrets.dataKeys,
      presence,
      holdings: [
        ...[...IDENTITY_TABLES, ...OIDC_TABLES].map((table) => tableHolding(table, secrets.dataKeys)),
        storeHolding(store, secrets.dataKeys),
      ],
    });
    closing.unshift(() => rotation.stop());
    const registerEvents = createRegisterEvents({
      db,
      clock,
      audit,
      persons: identity.persons,
      registers: settings.sources.registers,
      audience: config.issuer,
      fetch: outbound,
      endSessions: (accountId, actor) => oidc.signOutEverywhere(accountId, 'register-event', actor),
    });

    const forgetting = setInterval(() => {
      oidc
        .forgetReleases()
        .catch((error: unknown) => logger.error({ err: error }, 'old releases were not forgotten'));
    }, FORGET_MS);
    forgetting.unref();
    closing.unshift(async () => clearInterval(forgetting));

    async function closeAccount(accountId: AccountId): Promise<void> {
      // First, so that no portal is left untold; whatever is begun meanwhile rests on an account that is closed.
      await oidc.signOutEverywhere(accountId, 'account-closed', accountId);
      if (await identity.personalData.close(accountId)) await oidc.endEverything(accountId);
    }

    const koa = new Koa<RequestState>();
    koa.keys = createCookieKeys(secrets.cookieKeys);
    koa.silent = true;
    speakFor(config.issuer, koa);
    const addressOf = createClientAddress(config.trustedProxies);
    koa.use(observe({ issuer: config.issuer, logger, metrics, addressOf }));
    koa.use(
      operations({
        metrics,
        checks: {
          database: () => db.query('SELECT 1'),
          ...(redis ? { redis: () => redis.ping() } : {}),
          'data keys': () => presence.check(),
        },
        stopping: () => stopping,
      }),
    );
    koa.use(assets.middleware);
    koa.use(preferences.middleware);
    koa.use(answerErrors({ logger, pages }));
    koa.use(
      apiRoutes({
        issuer: config.issuer,
        db,
        clock,
        dataKeys: secrets.dataKeys,
        identity,
        limits,
        dualControl,
        oidc,
        seals,
        certificates,
        organisations,
        audit,
        metrics,
        documentMaxBytes: config.documentMaxBytes,
      }),
    );
    koa.use(certificationRoutes(certification));
    koa.use(consoleRoutes({ pages, portals }));
    if (authorities.fictional) koa.use(liveCheckRoutes({ register: authorities.fictional, forms, pages }));
    koa.use(registerEventRoute(registerEvents));
    koa.use(
      accountRoutes({
        means,
        clock,
        dataKeys: secrets.dataKeys,
        audit,
        identity,
        organisations,
        dualControl,
        db,
        own: oidc.own,
        portals,
        resources,
        seals,
        forms,
        pages,
        metrics,
        logger,
        closeAccount,
      }),
    );
    koa.use(recoveryStopRoute({ pages, forms, identity }));
    if (development) koa.use(outboxRoute({ pages, outbox: development, settle: () => messages.settle() }));
    koa.use(oidc.middleware);

    return {
      db,
      audit,
      custody,
      identity,
      organisations,
      dualControl,
      portals,
      resources,
      tokenKeys,
      oidc,
      certification,
      seals,
      logouts,
      messages,
      rotation,
      closeAccount,
      async lockAccount(accountId, actor) {
        await identity.setState(accountId, 'locked', actor);
        await oidc.signOutEverywhere(accountId, 'account-locked', actor);
      },
      async releaseDocument(accountId, actor) {
        await identity.persons.release(accountId, actor);
        await oidc.signOutEverywhere(accountId, 'document-released', actor);
      },
      async changePassword(change) {
        await identity.passwords.change(change);
        await oidc.signOutEverywhere(change.accountId, 'password-changed', change.accountId);
      },
      async start() {
        const handle = koa.callback();
        const framework = (...[request, response]: Parameters<typeof handle>) =>
          void handle(request, response);
        const listener = answerDirectly(
          { issuer: config.issuer, logger, metrics, area: 'oidc' },
          // What is ambiguous is left to the framework, which refuses it.
          (request) => (headerTwice(request) === undefined ? oidc.direct(request) : undefined),
          framework,
        );
        const server = await listen(listener, config);
        closing.unshift(() => server.stop(config.drainSeconds * 1000));
        rotation.start();
        return server.port;
      },
      async stop() {
        stopping = true;
        for (const close of closing.splice(0))
          await close().catch((error: unknown) =>
            logger.error({ err: error }, 'a part did not close cleanly'),
          );
      },
    };
  } catch (error) {
    for (const close of closing) await close().catch(() => undefined);
    throw error;
  }

  function providerSigner(custody: Custody, purpose: KeyPurpose): Promise<Signer> {
    return custody.active(PROVIDER, purpose).then((key) => {
      if (!key) throw new TypeError(`the provider has no ${purpose} key`);
      return custody.signer(PROVIDER, key.id, 'ES256');
    });
  }
}

/** The token that keeps keys, if there is one. Connected when it is first used. */
export async function openToken({ config, secrets }: Settings): Promise<TokenConnection | undefined> {
  return config.token && connectToken({ ...config.token, pin: secrets.tokenPin ?? '' });
}

/** The wrapping keys, the current one first: one that is in the token goes before one that is given. */
async function wrappingKeysOf({ config, secrets }: Settings, token: TokenConnection | undefined) {
  const label = config.token?.wrappingKey;
  const given = secrets.keyEncryptionKey;
  const others = secrets.otherKeyEncryptionKeys;
  if (token && label !== undefined)
    return {
      keyEncryptionKey: await tokenWrappingKey(token, label),
      otherKeyEncryptionKeys: given ? [given, ...others] : others,
    };
  if (!given) throw new TypeError('there is no wrapping key');
  return { keyEncryptionKey: given, otherKeyEncryptionKeys: others };
}

/** Who may act on keys: those whose duty it is in the unit that owns them; on the provider's own, operators. */
function mayActOnKeys(organisations: Organisations): MayActOnKeys {
  return (tx, { person, scope, role }) => {
    // Operators are no accounts: they are known by their command line.
    if (!isId('acc', person)) return true;
    const right = role === 'request' ? 'request-key-acts' : 'approve-key-acts';
    return isId('unit', scope) && organisations.mayInUnit(tx, person, right, scope);
  };
}

function openDb(config: Config, logger: Logger): Promise<Db> {
  const { database } = config;
  return database.kind === 'pglite'
    ? openPglite(database.directory)
    : Promise.resolve(connectPg(database.url, { poolSize: database.poolSize, logger }));
}

/** First start: audit key, certificate authorities and what they sign with, made once however many processes start together. */
async function makeProviderKeys(db: Db, custody: Custody, certification: Certification): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock($1)', [FIRST_START_LOCK]);
    if (!(await custody.active(PROVIDER, 'audit', tx)))
      await custody.generate(tx, { owner: PROVIDER, purpose: 'audit', actor: 'system' });
    await certification.ensure(tx);
  });
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    made.catch(() => (made = undefined));
    return made;
  };
}
