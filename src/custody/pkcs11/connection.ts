/**
 * A token (HSM, smart card, SoftHSM) through its PKCS #11 module: sessions that are lent one at a time, and made anew when the token was lost.
 * `pkcs11js` is an optional package; it is built where it is wanted (`npm run pkcs11`).
 */
import type * as Pkcs11Js from 'pkcs11js';
import type { Handle, PKCS11 } from 'pkcs11js';
import { CustodyError } from '../errors.ts';

export interface TokenSettings {
  /** Path of the module, a shared library. */
  readonly module: string;
  /** Label of the token. */
  readonly label: string;
  readonly pin: string;
  /** Sessions kept open: that many signatures are made at the same moment. */
  readonly sessions: number;
}

/** One session, lent for one act. */
export interface Lent {
  readonly pkcs11: PKCS11;
  readonly session: Handle;
  /** The one object of a class with this CKA_ID or CKA_LABEL; undefined: there is none. */
  find(objectClass: number, attribute: number, value: Buffer | string): Handle | undefined;
  /** The same, where it must be: private objects vanish when a log-in is lost, so that one that is missing is looked for once more. */
  need(objectClass: number, attribute: number, value: Buffer | string): Handle;
}

export interface TokenConnection {
  readonly constants: typeof Pkcs11Js;
  /**
   * Lends a session. When the token turns out to be lost it is looked for anew, once, and `work` begins again.
   * @throws {CustodyError} KEY_UNAVAILABLE, with what the module said as its cause.
   */
  use<T>(work: (lent: Lent) => Promise<T> | T): Promise<T>;
  close(): Promise<void>;
}

/** What a module says (PKCS #11 v2.40, 5.1) when sessions or objects are gone, and a new log-in may bring them back. */
const LOST = new Set([
  0x03, // CKR_SLOT_ID_INVALID
  0x05, // CKR_GENERAL_ERROR
  0x06, // CKR_FUNCTION_FAILED
  0x30, // CKR_DEVICE_ERROR
  0x32, // CKR_DEVICE_REMOVED
  0x60, // CKR_KEY_HANDLE_INVALID
  0x82, // CKR_OBJECT_HANDLE_INVALID
  0xb0, // CKR_SESSION_CLOSED
  0xb3, // CKR_SESSION_HANDLE_INVALID
  0xe0, // CKR_TOKEN_NOT_PRESENT
  0x101, // CKR_USER_NOT_LOGGED_IN
  0x190, // CKR_CRYPTOKI_NOT_INITIALIZED
]);
const OBJECT_HANDLE_INVALID = 0x82;
const ALREADY_INITIALIZED = 0x191;
const ALREADY_LOGGED_IN = 0x100;

/** Connects when it is first used. @throws {CustodyError} KEY_UNAVAILABLE: `pkcs11js` is not built, or the module cannot be loaded. */
export async function connectToken(settings: TokenSettings): Promise<TokenConnection> {
  const constants = await load();
  const pkcs11 = new constants.PKCS11();
  try {
    pkcs11.load(settings.module);
  } catch (cause) {
    throw unavailable(cause);
  }
  let idle: Handle[] = [];
  /** Counts connections: what belongs to an earlier one is not put back. */
  let generation = 0;
  let connected = false;
  let connecting: Promise<void> | undefined;
  /** Sessions that are lent, of any generation: the module is not taken down while one works. */
  let lent = 0;
  const waiting: (() => void)[] = [];
  let quiet: (() => void) | undefined;

  function initialize(): void {
    try {
      // Without it several sessions in libuv's threads bring some modules down.
      pkcs11.C_Initialize({ flags: constants.CKF_OS_LOCKING_OK });
    } catch (error) {
      if (codeOf(error) !== ALREADY_INITIALIZED) throw error;
    }
  }

  function openSessions(): Handle[] {
    const slot = pkcs11
      .C_GetSlotList(true)
      .find((each) => pkcs11.C_GetTokenInfo(each).label.trimEnd() === settings.label);
    if (!slot) throw new Error('there is no token with this label');
    const sessions = Array.from({ length: settings.sessions }, () =>
      pkcs11.C_OpenSession(slot, constants.CKF_SERIAL_SESSION | constants.CKF_RW_SESSION),
    );
    const [first] = sessions;
    try {
      if (first) pkcs11.C_Login(first, constants.CKU_USER, settings.pin);
    } catch (error) {
      if (codeOf(error) !== ALREADY_LOGGED_IN) throw error;
    }
    return sessions;
  }

  function closeSessions(): void {
    for (const session of idle.splice(0))
      try {
        pkcs11.C_CloseSession(session);
      } catch {
        // It went with the token.
      }
  }

  async function connect(): Promise<void> {
    if (lent > 0) await new Promise<void>((resolve) => (quiet = resolve));
    closeSessions();
    generation += 1;
    try {
      initialize();
      idle = openSessions();
    } catch {
      // The module itself may have lost its way: it is taken down and brought up again.
      try {
        pkcs11.C_Finalize();
      } catch {
        // It was not up.
      }
      initialize();
      idle = openSessions();
    }
    connected = true;
  }

  /** Once for all who find the token lost. */
  async function ensureConnected(): Promise<void> {
    if (connected && !connecting) return;
    connecting ??= connect().finally(() => {
      connecting = undefined;
      for (const wake of waiting.splice(0)) wake();
    });
    await connecting;
  }

  async function borrow(): Promise<{ session: Handle; of: number }> {
    for (;;) {
      await ensureConnected();
      const session = connecting ? undefined : idle.pop();
      if (session) {
        lent += 1;
        return { session, of: generation };
      }
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  }

  function giveBack(session: Handle, of: number): void {
    lent -= 1;
    if (of === generation) idle.push(session);
    if (lent === 0) {
      quiet?.();
      quiet = undefined;
    }
    waiting.shift()?.();
  }

  function find(session: Handle, objectClass: number, attribute: number, value: Buffer | string) {
    pkcs11.C_FindObjectsInit(session, [
      { type: constants.CKA_CLASS, value: objectClass },
      { type: attribute, value },
    ]);
    try {
      const found = pkcs11.C_FindObjects(session, 2);
      if (found.length > 1) throw new Error('several objects in the token have this name');
      return found[0];
    } finally {
      pkcs11.C_FindObjectsFinal(session);
    }
  }

  return {
    constants,
    async use(work) {
      for (let attempt = 1; ; attempt++) {
        let of: number | undefined;
        try {
          const borrowed = await borrow();
          const { session } = borrowed;
          of = borrowed.of;
          try {
            return await work({
              pkcs11,
              session,
              find: (objectClass, attribute, value) => find(session, objectClass, attribute, value),
              need(objectClass, attribute, value) {
                const handle = find(session, objectClass, attribute, value);
                if (handle) return handle;
                throw Object.assign(new Error('the token has no such object'), {
                  code: OBJECT_HANDLE_INVALID,
                });
              },
            });
          } finally {
            giveBack(session, of);
          }
        } catch (error) {
          if (error instanceof CustodyError) throw error;
          // An act that failed may still be under way in its session: all are opened anew. Others may have done it already.
          if (of === generation) connected = false;
          if (attempt > 1 || of === undefined || !LOST.has(codeOf(error) ?? -1)) throw unavailable(error);
        }
      }
    },
    async close() {
      if (lent > 0) await new Promise<void>((resolve) => (quiet = resolve));
      closeSessions();
      connected = false;
    },
  };
}

async function load(): Promise<typeof Pkcs11Js> {
  try {
    const loaded = await import('pkcs11js');
    return loaded.default;
  } catch (cause) {
    throw new CustodyError(
      'KEY_UNAVAILABLE',
      'PKCS11_MODULE is set, and pkcs11js is not built: npm run pkcs11 builds it.',
      { cause },
    );
  }
}

function codeOf(error: unknown): number | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined;
}

function unavailable(cause: unknown): CustodyError {
  return new CustodyError('KEY_UNAVAILABLE', 'The key cannot be used at the moment.', { cause });
}
