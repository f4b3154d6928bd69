/**
 * What this service tells people at their phone or mailbox. A message is written down where its cause is, and sent by a worker: whoever
 * waits for an answer learns nothing from how long a message takes, nor from whether there is one.
 */
import { createCipher } from '../../platform/cipher.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import type { Db, Queryable } from '../../platform/db/db.ts';
import type { Languages } from '../../platform/i18n.ts';
import type { Logger } from '../../platform/logger.ts';
import { createOutbox, Unacceptable, type Outbox, type Undelivered } from '../../platform/outbox.ts';
import type { EncryptedTable } from '../../rotation/index.ts';
import type { Channel } from './address.ts';
import { compose, type MessageKind } from './texts.ts';

export interface Message {
  readonly channel: Channel;
  /** An address of the channel; undefined: nobody, for causes that must look alike. It takes the same way and is dropped at its end. */
  readonly to: string | undefined;
  readonly kind: MessageKind;
  /** BCP 47 tag of a catalogue. */
  readonly language: string;
  readonly parameters: Readonly<Record<string, string | number>>;
  /** From then on it is of no use, and not sent any more. */
  readonly expiresAt?: Date;
}

/** The port by which the room reaches people. */
export interface MessageSender {
  /** The channels of this installation. A message on another is given up. */
  readonly channels: ReadonlySet<Channel>;
  /**
   * Sends a message, in the background, at least once.
   * @param tx The transaction of what it tells: it is sent if that commits.
   */
  send(message: Message, tx?: Queryable): Promise<void>;
}

/** A message in its words, as a carrier takes it. */
export interface Letter {
  /** The same at every try. */
  readonly id: string;
  readonly to: string;
  readonly kind: MessageKind;
  readonly language: string;
  readonly parameters: Message['parameters'];
  readonly subject: string;
  /** Plain text. */
  readonly text: string;
}

/**
 * Takes a letter out of this program, within `CARRY_SECONDS`.
 * @throws {Unacceptable} it will never be taken. What is thrown says nothing personal: it is logged and kept.
 */
export type Carrier = (letter: Letter) => Promise<void>;

/** Longest that a carrier may take. */
export const CARRY_SECONDS = 45;

/** As it lies in the outbox. */
interface Sealed {
  readonly channel: Channel;
  readonly kind: MessageKind;
  /** JSON of the rest, encrypted. */
  readonly payload: Uint8Array;
}
type Rest = Pick<Message, 'to' | 'language' | 'parameters'> & { readonly expiresAt?: string };

export interface Messages extends MessageSender {
  start(): void;
  /** Sends what rests now, and waits for what is being sent. */
  settle(): Promise<void>;
  /** Lets messages that are being sent end. */
  stop(): Promise<void>;
  /** What has not been sent; its address and text are not shown. */
  undelivered(): Promise<(Undelivered & Pick<Sealed, 'channel' | 'kind'>)[]>;
  readonly resend: Outbox<Sealed>['resend'];
}

/** How messages lie in the database. */
export const MESSAGE_OUTBOX = {
  table: 'message_outbox',
  key: { id: 'text' },
  reads: ['channel', 'kind'],
  values: {
    payload: { purpose: 'message-outbox', context: (row) => contextOf(row['channel'], row['kind']) },
  },
} as const satisfies EncryptedTable;

const contextOf = (channel = '', kind = '') => `${channel}/${kind}`;

export function createMessages(parts: {
  db: Db;
  clock: Clock;
  logger: Logger;
  dataKeys: DataKeys;
  languages: Languages;
  carriers: Readonly<Partial<Record<Channel, Carrier>>>;
}): Messages {
  const { clock, languages, carriers } = parts;
  const cipher = createCipher(parts.dataKeys, MESSAGE_OUTBOX.values.payload.purpose);
  const outbox = createOutbox<Sealed>(parts, {
    table: 'message_outbox',
    prefix: 'msg',
    columns: ['channel', 'kind', 'payload'],
    values: ({ channel, kind, payload }) => [channel, kind, payload],
    item: (row) => ({
      channel: row['channel'] as Channel,
      kind: row['kind'] as MessageKind,
      payload: row['payload'] as Uint8Array,
    }),
    // An hour and a half close together, for codes; then a day, for notices.
    pauses: [2, 5, 15, 30, 60, 300, 900, 3600, 14_400, 28_800, 43_200],
    // A message to nobody is less work than one to somebody.
    restMs: 50,
    leaseSeconds: 2 * CARRY_SECONDS,
    parallel: 16,
    refused: { say: 'a message was not taken', about: ({ channel, kind }) => ({ channel, kind }) },
  });

  async function deliver({ channel, kind, payload }: Sealed, id: string): Promise<void> {
    const plain = Buffer.from(cipher.decrypt(payload, contextOf(channel, kind))).toString('utf8');
    const { to, expiresAt, ...rest } = JSON.parse(plain) as Rest;
    if (to === undefined || (expiresAt !== undefined && new Date(expiresAt) <= clock.now())) return;
    const carrier = carriers[channel];
    if (!carrier) throw new Unacceptable(`there is no carrier for ${channel}`);
    const language = languages.get(rest.language) ?? languages.choose({});
    await carrier({ id, to, kind, ...rest, ...compose(language, channel, kind, rest.parameters) });
  }

  return {
    // eslint-disable-next-line typescript/no-unsafe-type-assertion -- keys of carriers are channels
    channels: new Set(Object.keys(carriers) as Channel[]),
    async send({ channel, kind, to, language, parameters, expiresAt }, tx) {
      const rest = { to, language, parameters, ...(expiresAt ? { expiresAt: expiresAt.toISOString() } : {}) };
      const payload = cipher.encrypt(Buffer.from(JSON.stringify(rest)), contextOf(channel, kind));
      await outbox.enqueue({ channel, kind, payload }, tx);
    },
    start: () => outbox.start(deliver),
    settle: () => outbox.settle(),
    stop: () => outbox.stop(),
    async undelivered() {
      const waiting = await outbox.undelivered();
      return waiting.map(({ payload: _payload, ...shown }) => shown);
    },
    resend: outbox.resend,
  };
}
