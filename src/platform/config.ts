/**
 * Configuration in three steps: `readEnv` takes the raw strings, `toConfig` gives them meaning and reports all problems together,
 * and what it returns is frozen. Secrets stand apart, in `secrets.ts`. Only `main.ts` hands in `process.env`.
 */
import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { parseCertificate, pemToDer } from '../pki/index.ts';
import { toSecrets, type Secrets } from './secrets.ts';
import { toSources, type IdentitySources } from './sources.ts';

/** What is wrong with one variable. */
export interface ConfigProblem {
  readonly variable: string;
  readonly problem: string;
}

/** The configuration cannot be used. The message names every bad variable and shows no value. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(
      `The configuration cannot be used:\n${problems.map((p) => `  ${p.variable}: ${p.problem}`).join('\n')}`,
    );
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** What a TLS-terminating proxy says of the certificates that clients showed it. */
export interface MutualTls {
  /** Networks (CIDR) of the proxies that are believed: who can send from there can pose as any client. */
  readonly proxies: readonly string[];
  /** How `Client-Cert` is written: the byte sequence of RFC 9440, or PEM in percent-encoding, as nginx and Envoy have it. Default `rfc9440`. */
  readonly format: 'rfc9440' | 'urlencoded-pem';
  /** Certificate authorities (PEM) whose certificates are good for `tls_client_auth`; undefined: that method is not offered. */
  readonly authorities: string | undefined;
  /** Origin of the host that asks for certificates, where it is not the issuer's own (RFC 8705, section 5). */
  readonly origin: string | undefined;
}

/** How people are reached. A channel that has nothing is not offered; embedded mode then shows its messages on the page `/outbox`. */
export interface MessageRoutes {
  /** Mail server, with user and password in it, and the address that e-mail comes from. */
  readonly smtp: { readonly url: string; readonly from: string } | undefined;
  /** HTTP gateway for text messages (`docs/message-gateway.md`), and the token or the key (32 bytes, base64) by which it knows us. */
  readonly smsGateway:
    | { readonly url: string; readonly token: string }
    | { readonly url: string; readonly key: string; readonly keyId: string }
    | undefined;
}

/** Reverse proxies whose word on whom they got a request from is taken. */
export interface TrustedProxies {
  /** Networks (CIDR): who can send from there can pose as any address. Default none. */
  readonly networks: readonly string[];
  /** The one header that they write; the other, which a client may have sent through them, is ignored. Default `x-forwarded-for`. */
  readonly header: 'x-forwarded-for' | 'forwarded';
}

/** A token (HSM) and what is kept in it. */
export interface TokenConfig {
  /** Path of the PKCS #11 module, a shared library that is loaded into this process. */
  readonly module: string;
  /** Label of the token. */
  readonly label: string;
  /** Sessions kept open, which is how many signatures it makes at a time. Default 4. */
  readonly sessions: number;
  /** Label of the wrapping key, if it is in the token; undefined: it is `KEY_ENCRYPTION_KEY`. */
  readonly wrappingKey: string | undefined;
  /** Whether new keys are made in the token. Default no: they are made here and kept in the database, wrapped. */
  readonly makesKeys: boolean;
}

export interface Config {
  /** `server`: PostgreSQL and Redis, any number of processes. `embedded`: PGlite and an in-process store, one process. */
  readonly mode: 'server' | 'embedded';
  /** Issuer Identifier (OpenID Connect Core 1.0, section 2): the origin that people and portals reach, with no trailing slash. */
  readonly issuer: string;
  /** Address to listen on. Default `127.0.0.1` embedded, `0.0.0.0` in server mode. */
  readonly host: string;
  /** TCP port to listen on; 0 lets the system choose. Default 3000. */
  readonly port: number;
  readonly database:
    | { readonly kind: 'postgres'; readonly url: string; readonly poolSize: number }
    | { readonly kind: 'pglite'; readonly directory: string };
  /** Holds sessions and codes. Whoever can write here can sign in as anyone: private network, TLS, password. */
  readonly redis: { readonly url: string } | undefined;
  /** Prefix of every key in Redis, for several installations on one server. Default `yx`. */
  readonly redisKeyPrefix: string;
  /** Private networks (CIDR) that logout calls to portals may reach. Default none in server mode, loopback embedded. */
  readonly outboundNetworks: readonly string[];
  /** Whose word on the client's address is taken; from anyone else the socket's address counts. */
  readonly trustedProxies: TrustedProxies;
  /** Limits that replace those of `config/limits.json`, act by act; undefined: none. */
  readonly limits: unknown;
  /** Rules for new passwords that replace those of `config/passwords.json`, one by one; undefined: none. */
  readonly passwordRules: unknown;
  /** Argon2id cost (OWASP Password Storage). Default 19456 KiB, 2 passes, 1 lane. */
  readonly argon2: { readonly memoryKiB: number; readonly passes: number; readonly lanes: number };
  /**
   * Password hashes: how many are made at a time (default: the cores of this machine), and for how many seconds anybody waits for one before
   * the answer is 503 (default 5; what a hash costs here decides how many people that is).
   */
  readonly passwordQueue: { readonly inFlight: number; readonly waitSeconds: number };
  /** Largest document that is sealed or verified, in bytes. Default 64 MiB. */
  readonly documentMaxBytes: number;
  /** The certificate authorities of this installation. */
  readonly certification: {
    /** Kinds of keys for which there are a root and an issuing authority, the one for keys of other kinds first. Default P-256 alone. */
    readonly hierarchies: readonly ('p-256' | 'rsa' | 'sm2')[];
    /**
     * Origin that certificates name for lists, answers and authorities' certificates. Default the issuer. It stands in every certificate:
     * it has to be reachable for as long as any of them is looked at.
     */
    readonly origin: string;
    /**
     * Whether certificates name the OCSP responder. Some readers distrust a seal whose responder they cannot reach, so that one at a loopback
     * address is named only if `PKI_ORIGIN` says so.
     */
    readonly namesResponder: boolean;
    /** Policy of seal certificates, dotted decimal: an object identifier of the operator's own. */
    readonly sealPolicy: string;
    /** Policy of time-stamps, dotted decimal. */
    readonly timeStampPolicy: string;
    /** Roots (PEM) of outside authorities that may certify seals here; undefined: none. */
    readonly outsideAuthorities: string | undefined;
  };
  /** Certificate authorities (PEM) trusted for outbound calls besides the public ones. */
  readonly outboundAuthorities: readonly string[];
  /** Whether plain requests are answered without the library. */
  readonly hotPath: boolean;
  /** Seconds that a stopping process gives the requests in flight. Default 20. */
  readonly drainSeconds: number;
  readonly messages: MessageRoutes;
  /** Undefined: there is none. */
  readonly token: TokenConfig | undefined;
  /** Hours that the recovery of an account waits whose second factor is lost. Shorter: less time to stop an impostor. Default 72. */
  readonly recoveryWaitHours: number;
  /**
   * How long it is kept what portals were given of whom, in days. Default 1095: records of processing are kept for three years at least
   * (Personal Information Protection Law, article 56).
   */
  readonly releasesDays: number;
  /** Mutual TLS (RFC 8705); undefined: off, and what requests say of certificates is ignored. */
  readonly mutualTls: MutualTls | undefined;
  /**
   * Makers (PEM) whose attestation of a passkey says that its key is kept in hardware: level 4 asks for one. Undefined: no passkey counts
   * as hardware, and browsers are not asked for attestations.
   */
  readonly passkeyAuthorities: string | undefined;
  /** Seconds that a token key is announced before it signs, signs, and stays published after. */
  readonly tokenKeys: { readonly announced: number; readonly signing: number; readonly retired: number };
  /** IANA name of the time zone in which pages say times: that of the people who are served. Default `Asia/Shanghai`. */
  readonly timeZone: string;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Where embedded mode keeps the database. Default `data`. */
  readonly dataDirectory: string;
  /** Where embedded mode keeps the secrets it made on first start. Default `keys`. */
  readonly keysDirectory: string;
}

export interface Settings {
  readonly config: Config;
  readonly secrets: Secrets;
  /** Where people are known from. Holds secrets. */
  readonly sources: IdentitySources;
}

/** Raw variables: what the environment says, before any meaning. */
export type RawEnv = Readonly<Record<string, string | undefined>>;

/** Secrets and certificates may be given as files (`DATA_KEY_FILE=/run/secrets/data-key`), as container platforms mount them. */
const FILE_VARIABLES = [
  'LIMITS',
  'PASSWORD_RULES',
  'OUTBOUND_AUTHORITIES',
  'SEAL_AUTHORITIES',
  'CLIENT_CERTIFICATE_AUTHORITIES',
  'PASSKEY_AUTHORITIES',
  'DATABASE_URL',
  'REDIS_URL',
  'SMTP_URL',
  'SMS_GATEWAY_TOKEN',
  'SMS_GATEWAY_KEY',
  'IDENTITY_SOURCES',
  'KEY_ENCRYPTION_KEY',
  'KEY_ENCRYPTION_KEY_OTHERS',
  'PKCS11_PIN',
  'DATA_KEY',
  'DATA_KEY_OTHERS',
  'PASSWORD_PEPPER',
  'PASSWORD_PEPPER_OTHERS',
  'COOKIE_KEYS',
];

/**
 * Step one: the raw strings. An empty variable counts as absent; `<NAME>_FILE` is read for the variables that hold secrets.
 * @throws {ConfigError} a named file cannot be read.
 */
export function readEnv(env: RawEnv): RawEnv {
  const raw: Record<string, string> = {};
  const problems: ConfigProblem[] = [];
  for (const [name, value] of Object.entries(env)) if (value?.trim()) raw[name] = value.trim();
  for (const name of FILE_VARIABLES) {
    const path = raw[`${name}_FILE`];
    if (path === undefined) continue;
    try {
      raw[name] = readFileSync(path, 'utf8').trim();
    } catch {
      problems.push({ variable: `${name}_FILE`, problem: 'names a file that cannot be read' });
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return raw;
}

const wholeNumber = (least: number, most: number, preset: number) =>
  z.coerce
    .number({ error: 'is not a number' })
    .int('is not a whole number')
    .min(least, `is less than ${least}`)
    .max(most, `is more than ${most}`)
    .default(preset);

/** Dotted decimal. */
const OID = /^(?:[01]\.(?:[0-9]|[1-3][0-9])|2\.(?:0|[1-9]\d*))(?:\.(?:0|[1-9]\d*))+$/;

const variables = z.object({
  ISSUER: z.string().optional(),
  HOST: z.string().optional(),
  PORT: wholeNumber(0, 65_535, 3000),
  DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'does not begin with postgres://')
    .optional(),
  DATABASE_POOL_SIZE: wholeNumber(2, 500, 20),
  REDIS_URL: z
    .string()
    .regex(/^rediss?:\/\//, 'does not begin with redis:// or rediss://')
    .optional(),
  REDIS_KEY_PREFIX: z
    .string()
    .regex(/^[a-z0-9-]{1,32}$/, 'is not 1 to 32 of a-z, 0-9 and -')
    .default('yx'),
  OUTBOUND_NETWORKS: z.string().optional(),
  OUTBOUND_AUTHORITIES: z.string().optional(),
  TRUSTED_PROXY_HEADER: z
    .enum(['x-forwarded-for', 'forwarded'], 'is not x-forwarded-for or forwarded')
    .default('x-forwarded-for'),
  CLIENT_CERTIFICATE_FORMAT: z
    .enum(['rfc9440', 'urlencoded-pem'], 'is not rfc9440 or urlencoded-pem')
    .default('rfc9440'),
  ARGON2_MEMORY_KIB: wholeNumber(7168, 4_194_304, 19_456),
  ARGON2_PASSES: wholeNumber(1, 100, 2),
  ARGON2_LANES: wholeNumber(1, 64, 1),
  PASSWORD_HASHES_IN_FLIGHT: wholeNumber(1, 256, availableParallelism()),
  PASSWORD_WAIT_SECONDS: wholeNumber(0, 60, 5),
  DOCUMENT_MAX_BYTES: wholeNumber(1024, 1_073_741_824, 67_108_864),
  RECOVERY_WAIT_HOURS: wholeNumber(1, 720, 72),
  RELEASES_DAYS: wholeNumber(180, 36_500, 1095),
  SMTP_URL: z
    .string()
    .regex(/^smtps?:\/\/\S+$/, 'does not begin with smtps:// or smtp://')
    .refine((text) => URL.canParse(text), 'is not a URL')
    .optional(),
  MAIL_FROM: z
    .string()
    .regex(/^[^\s@<>"]+@[^\s@<>"]+$/, 'is not an address of e-mail')
    .optional(),
  SMS_GATEWAY_URL: z.string().optional(),
  SMS_GATEWAY_TOKEN: z
    .string()
    .regex(/^[\w.~+/-]+=*$/, 'is not a bearer token (RFC 6750, section 2.1)')
    .optional(),
  SMS_GATEWAY_KEY: z
    .string()
    .regex(/^[A-Za-z0-9+/]{43}=$/, 'is not 32 bytes in base64 (openssl rand -base64 32)')
    .optional(),
  SMS_GATEWAY_KEY_ID: z
    .string()
    .regex(/^[\w.-]{1,64}$/, 'is not 1 to 64 of letters, digits, _, . and -')
    .default('yinxin'),
  PKCS11_MODULE: z.string().startsWith('/', 'is not an absolute path').optional(),
  PKCS11_TOKEN: z.string().max(32, 'is longer than 32 signs, as no label is').optional(),
  PKCS11_SESSIONS: wholeNumber(1, 256, 4),
  PKCS11_WRAPPING_KEY: z.string().max(64, 'is longer than 64 signs').optional(),
  PKCS11_KEYS: z.enum(['yes', 'no'], 'is not yes or no').default('no'),
  CERTIFICATE_HIERARCHIES: z
    .string()
    .default('p-256')
    .transform((text) => text.split(',').map((each) => each.trim()))
    .pipe(z.array(z.enum(['p-256', 'rsa', 'sm2'], 'has one that is not p-256, rsa or sm2')).min(1)),
  PKI_ORIGIN: z.string().optional(),
  // Arcs of 2.25 are UUIDs, and anyone's (ITU-T X.667).
  SEAL_CERTIFICATE_POLICY: z
    .string()
    .regex(OID, 'is not an object identifier')
    .default('2.25.212324307468298220702920895636091038838'),
  TIME_STAMP_POLICY: z
    .string()
    .regex(OID, 'is not an object identifier')
    .default('2.25.308860704218004290423091838053894616482'),
  HOT_PATH: z.enum(['on', 'off'], 'is not on or off').default('on'),
  DRAIN_SECONDS: wholeNumber(0, 600, 20),
  TOKEN_KEY_ANNOUNCED_HOURS: wholeNumber(1, 720, 24),
  TOKEN_KEY_SIGNING_DAYS: wholeNumber(2, 730, 90),
  TOKEN_KEY_RETIRED_DAYS: wholeNumber(1, 730, 30),
  TIME_ZONE: z
    .string()
    .default('Asia/Shanghai')
    .refine(isTimeZone, 'must be the IANA name of a time zone, such as Asia/Shanghai'),
  LOG_LEVEL: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'], 'is not debug, info, warn, error or silent')
    .default('info'),
  DATA_DIRECTORY: z.string().default('data'),
  KEYS_DIRECTORY: z.string().default('keys'),
});

/**
 * Steps two and three: meaning, defaults and cross-field rules, then a frozen value.
 * @throws {ConfigError} with every problem found, secrets included.
 */
export function toConfig(raw: RawEnv): Settings {
  const parsed = variables.safeParse(raw);
  const problems: ConfigProblem[] = (parsed.error?.issues ?? []).map((issue) => ({
    variable: String(issue.path[0]),
    problem: issue.message,
  }));

  const mode = raw['DATABASE_URL'] === undefined && raw['REDIS_URL'] === undefined ? 'embedded' : 'server';
  const server = mode === 'server';
  if (server && raw['DATABASE_URL'] === undefined)
    problems.push({
      variable: 'DATABASE_URL',
      problem: 'is missing (REDIS_URL is set: server mode needs both)',
    });
  if (server && raw['REDIS_URL'] === undefined)
    problems.push({
      variable: 'REDIS_URL',
      problem: 'is missing (DATABASE_URL is set: server mode needs both)',
    });

  const port = parsed.data?.PORT ?? 3000;
  const issuer = raw['ISSUER'] ?? (server ? undefined : `http://localhost:${port}`);
  const issuerProblem = issuer === undefined ? 'is missing' : problemWithIssuer(issuer);
  if (issuerProblem) problems.push({ variable: 'ISSUER', problem: issuerProblem });

  const outboundNetworks = (raw['OUTBOUND_NETWORKS'] ?? (server ? '' : '127.0.0.0/8,::1/128'))
    .split(',')
    .filter(Boolean);
  for (const network of outboundNetworks)
    if (!isNetwork(network))
      problems.push({ variable: 'OUTBOUND_NETWORKS', problem: `"${network}" is not a network in CIDR form` });

  problems.push(...problemsWithMutualTls(raw), ...problemsWithMessages(raw), ...problemsWithToken(raw));
  const passkeyAuthorities = raw['PASSKEY_AUTHORITIES'];
  const passkeyProblem =
    passkeyAuthorities === undefined ? undefined : problemWithAuthorities(passkeyAuthorities);
  if (passkeyProblem !== undefined)
    problems.push({ variable: 'PASSKEY_AUTHORITIES', problem: passkeyProblem });
  const sealAuthorities = raw['SEAL_AUTHORITIES'];
  const sealProblem = sealAuthorities === undefined ? undefined : problemWithAuthorities(sealAuthorities);
  if (sealProblem !== undefined) problems.push({ variable: 'SEAL_AUTHORITIES', problem: sealProblem });
  const pkiOrigin = raw['PKI_ORIGIN'] === undefined ? undefined : problemWithOrigin(raw['PKI_ORIGIN']);
  if (pkiOrigin !== undefined) problems.push({ variable: 'PKI_ORIGIN', problem: pkiOrigin });
  problems.push(...problemsWithMutualTls(raw), ...problemsWithTrustedProxies(raw));
  const limits = parseJson(raw['LIMITS']);
  if (limits === NOT_JSON) problems.push({ variable: 'LIMITS', problem: 'is not JSON' });
  const passwordRules = parseJson(raw['PASSWORD_RULES']);
  if (passwordRules === NOT_JSON) problems.push({ variable: 'PASSWORD_RULES', problem: 'is not JSON' });

  const sources = toSources(raw['IDENTITY_SOURCES'], mode);
  if ('problem' in sources) problems.push({ variable: 'IDENTITY_SOURCES', problem: sources.problem });

  const secrets = toSecrets(raw, {
    required: server,
    developmentDirectory: parsed.data?.KEYS_DIRECTORY ?? 'keys',
    writeDevelopment: problems.length === 0,
  });
  if ('problems' in secrets) problems.push(...secrets.problems);
  if (
    !parsed.success ||
    issuer === undefined ||
    'problems' in secrets ||
    'problem' in sources ||
    problems.length > 0
  )
    throw new ConfigError(problems);

  const env = parsed.data;
  const config: Config = {
    mode,
    issuer,
    host: env.HOST ?? (server ? '0.0.0.0' : '127.0.0.1'),
    port,
    database:
      env.DATABASE_URL === undefined
        ? { kind: 'pglite', directory: `${env.DATA_DIRECTORY}/pglite` }
        : { kind: 'postgres', url: env.DATABASE_URL, poolSize: env.DATABASE_POOL_SIZE },
    redis: env.REDIS_URL === undefined ? undefined : { url: env.REDIS_URL },
    redisKeyPrefix: env.REDIS_KEY_PREFIX,
    outboundNetworks,
    certification: {
      hierarchies: [...new Set(env.CERTIFICATE_HIERARCHIES)],
      origin: env.PKI_ORIGIN ?? issuer,
      namesResponder: env.PKI_ORIGIN !== undefined || !isLoopback(new URL(issuer)),
      sealPolicy: env.SEAL_CERTIFICATE_POLICY,
      timeStampPolicy: env.TIME_STAMP_POLICY,
      outsideAuthorities: raw['SEAL_AUTHORITIES'],
    },
    outboundAuthorities: raw['OUTBOUND_AUTHORITIES'] === undefined ? [] : [raw['OUTBOUND_AUTHORITIES']],
    trustedProxies: {
      networks: raw['TRUSTED_PROXIES']?.split(',').filter(Boolean) ?? [],
      header: env.TRUSTED_PROXY_HEADER,
    },
    limits,
    passwordRules,
    argon2: { memoryKiB: env.ARGON2_MEMORY_KIB, passes: env.ARGON2_PASSES, lanes: env.ARGON2_LANES },
    passwordQueue: { inFlight: env.PASSWORD_HASHES_IN_FLIGHT, waitSeconds: env.PASSWORD_WAIT_SECONDS },
    documentMaxBytes: env.DOCUMENT_MAX_BYTES,
    hotPath: env.HOT_PATH === 'on',
    drainSeconds: env.DRAIN_SECONDS,
    recoveryWaitHours: env.RECOVERY_WAIT_HOURS,
    releasesDays: env.RELEASES_DAYS,
    messages: {
      smtp:
        env.SMTP_URL === undefined || env.MAIL_FROM === undefined
          ? undefined
          : { url: env.SMTP_URL, from: env.MAIL_FROM },
      smsGateway: toSmsGateway(env),
    },
    token:
      env.PKCS11_MODULE === undefined || env.PKCS11_TOKEN === undefined
        ? undefined
        : {
            module: env.PKCS11_MODULE,
            label: env.PKCS11_TOKEN,
            sessions: env.PKCS11_SESSIONS,
            wrappingKey: env.PKCS11_WRAPPING_KEY,
            makesKeys: env.PKCS11_KEYS === 'yes',
          },
    mutualTls:
      raw['CLIENT_CERTIFICATE_PROXIES'] === undefined
        ? undefined
        : {
            proxies: raw['CLIENT_CERTIFICATE_PROXIES'].split(',').filter(Boolean),
            format: env.CLIENT_CERTIFICATE_FORMAT,
            authorities: raw['CLIENT_CERTIFICATE_AUTHORITIES'],
            origin: raw['MUTUAL_TLS_ORIGIN'],
          },
    passkeyAuthorities,
    tokenKeys: {
      announced: env.TOKEN_KEY_ANNOUNCED_HOURS * 3600,
      signing: env.TOKEN_KEY_SIGNING_DAYS * 86_400,
      retired: env.TOKEN_KEY_RETIRED_DAYS * 86_400,
    },
    timeZone: env.TIME_ZONE,
    logLevel: env.LOG_LEVEL,
    dataDirectory: env.DATA_DIRECTORY,
    keysDirectory: env.KEYS_DIRECTORY,
  };
  return { config: deepFreeze(config), secrets: secrets.value, sources: deepFreeze(sources.value) };
}

function problemsWithToken(raw: RawEnv): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  if (raw['PKCS11_MODULE'] === undefined) {
    for (const variable of ['PKCS11_TOKEN', 'PKCS11_PIN', 'PKCS11_WRAPPING_KEY', 'PKCS11_KEYS'])
      if (raw[variable] !== undefined)
        problems.push({ variable, problem: 'has no meaning without PKCS11_MODULE' });
    return problems;
  }
  for (const variable of ['PKCS11_TOKEN', 'PKCS11_PIN'])
    if (raw[variable] === undefined)
      problems.push({ variable, problem: 'is missing (PKCS11_MODULE is set)' });
  return problems;
}

function problemsWithMessages(raw: RawEnv): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const refuse = (variable: string, problem: string) => problems.push({ variable, problem });
  if (raw['SMTP_URL'] !== undefined && raw['MAIL_FROM'] === undefined)
    refuse('MAIL_FROM', 'is missing (SMTP_URL is set: people must see where e-mail comes from)');
  const { SMS_GATEWAY_URL: gateway, SMS_GATEWAY_TOKEN: token, SMS_GATEWAY_KEY: key } = raw;
  if (gateway === undefined) {
    for (const variable of ['SMS_GATEWAY_TOKEN', 'SMS_GATEWAY_KEY'])
      if (raw[variable] !== undefined) refuse(variable, 'has no meaning without SMS_GATEWAY_URL');
    return problems;
  }
  const problem = problemWithEndpoint(gateway);
  if (problem !== undefined) refuse('SMS_GATEWAY_URL', problem);
  if ((token === undefined) === (key === undefined))
    refuse('SMS_GATEWAY_URL', 'needs SMS_GATEWAY_TOKEN or SMS_GATEWAY_KEY, and not both');
  return problems;
}

function problemWithEndpoint(text: string): string | undefined {
  const url = URL.parse(text);
  if (!url) return 'is not a URL';
  if (url.username !== '' || url.hash !== '') return 'has a user name or a fragment';
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url))
    ? undefined
    : 'does not begin with https://';
}

function toSmsGateway(env: z.infer<typeof variables>): MessageRoutes['smsGateway'] {
  const { SMS_GATEWAY_URL: url, SMS_GATEWAY_TOKEN: token, SMS_GATEWAY_KEY: key } = env;
  if (url === undefined) return undefined;
  if (token !== undefined) return { url, token };
  return key === undefined ? undefined : { url, key, keyId: env.SMS_GATEWAY_KEY_ID };
}

function problemsWithMutualTls(raw: RawEnv): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const refuse = (variable: string, problem: string) => problems.push({ variable, problem });
  const {
    CLIENT_CERTIFICATE_PROXIES: proxies,
    CLIENT_CERTIFICATE_AUTHORITIES: authorities,
    MUTUAL_TLS_ORIGIN: origin,
  } = raw;
  for (const network of proxies?.split(',').filter(Boolean) ?? [])
    if (!isNetwork(network))
      refuse('CLIENT_CERTIFICATE_PROXIES', `"${network}" is not a network in CIDR form`);
    // Certificates are no secret: whoever is believed can show anybody's.
    else if (network.endsWith('/0')) refuse('CLIENT_CERTIFICATE_PROXIES', `"${network}" believes everyone`);
  const dependent = [
    'CLIENT_CERTIFICATE_AUTHORITIES',
    'CLIENT_CERTIFICATE_FORMAT',
    'MUTUAL_TLS_ORIGIN',
  ] as const;
  for (const variable of dependent)
    if (raw[variable] !== undefined && proxies === undefined)
      refuse(variable, 'has no meaning without CLIENT_CERTIFICATE_PROXIES');
  const authoritiesProblem = authorities === undefined ? undefined : problemWithAuthorities(authorities);
  if (authoritiesProblem !== undefined) refuse('CLIENT_CERTIFICATE_AUTHORITIES', authoritiesProblem);
  const originProblem = origin === undefined ? undefined : problemWithIssuer(origin);
  if (originProblem !== undefined) refuse('MUTUAL_TLS_ORIGIN', originProblem);
  return problems;
}

function problemsWithTrustedProxies(raw: RawEnv): ConfigProblem[] {
  const { TRUSTED_PROXIES: proxies, TRUSTED_PROXY_HEADER: header } = raw;
  const refuse = (variable: string, problem: string) => [{ variable, problem }];
  if (proxies === undefined)
    return header === undefined
      ? []
      : refuse('TRUSTED_PROXY_HEADER', 'has no meaning without TRUSTED_PROXIES');
  return proxies
    .split(',')
    .filter(Boolean)
    .flatMap((network) => {
      if (!isNetwork(network)) return refuse('TRUSTED_PROXIES', `"${network}" is not a network in CIDR form`);
      // Everyone could write any address then, and no limit by address would hold.
      return network.endsWith('/0') ? refuse('TRUSTED_PROXIES', `"${network}" believes everyone`) : [];
    });
}

const NOT_JSON = Symbol('not JSON');

function parseJson(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return NOT_JSON;
  }
}

function problemWithAuthorities(pem: string): string | undefined {
  try {
    const certificates = pemToDer('CERTIFICATE', pem).map((der) => parseCertificate(der));
    return certificates.every(({ extensions }) => extensions.basicConstraints?.cA)
      ? undefined
      : 'has a certificate that is no certificate authority';
  } catch {
    return 'is not certificates in PEM form';
  }
}

/** Lists and answers are signed: plain http will do, and is what verifiers without a store of roots can reach (RFC 5280, section 8). */
function problemWithOrigin(origin: string): string | undefined {
  const url = URL.parse(origin);
  if (!url || origin !== url.origin) return 'is not an origin (scheme, host and port)';
  return url.protocol === 'https:' || url.protocol === 'http:' ? undefined : 'does not begin with http(s)://';
}

/** OpenID Connect Discovery 1.0, section 3: https, no query, no fragment; plain http is for a loopback host alone. */
function problemWithIssuer(issuer: string): string | undefined {
  const url = URL.parse(issuer);
  if (!url) return 'is not a URL';
  if (issuer !== url.origin)
    return 'is not an origin (scheme, host and port, with no path and no trailing slash)';
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url)))
    return 'does not begin with https://';
  return undefined;
}

function isLoopback(url: URL): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
}

function isNetwork(text: string): boolean {
  const [address, bits, ...rest] = text.split('/');
  const family = isIP(address ?? '');
  return (
    rest.length === 0 &&
    family !== 0 &&
    /^\d{1,3}$/.test(bits ?? '') &&
    Number(bits) <= (family === 4 ? 32 : 128)
  );
}

/** The networks of a configuration as a list that answers `check(address, family)`. */
export function toBlockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    list.addSubnet(address, Number(bits), isIP(address) === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value))
    if (typeof inner === 'object' && inner !== null) deepFreeze(inner);
  return Object.freeze(value);
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
