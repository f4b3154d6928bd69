/** Reads messages as a person would read their phone: on the page of the development outbox, or from a fictional gateway. */
import { setTimeout } from 'node:timers/promises';
import type { FictionalGateway } from './gateway.ts';
import { UserAgent } from './user-agent.ts';

/** Where messages arrive: the origin whose page `/outbox` shows them, or a gateway. */
export type Inbox = string | Pick<FictionalGateway, 'messagesTo'>;

/**
 * The newest message to an address: its words, once it has come.
 * @param contains What must be in it; others are older.
 * @throws nothing came.
 */
export async function readMessage(inbox: Inbox, to: string, contains = /./): Promise<string> {
  // A message follows the answer that it belongs to. The page waits for it; a gateway may have an older one meanwhile.
  if (typeof inbox !== 'string') await setTimeout(200);
  for (let attempt = 0; attempt < 200; attempt++) {
    const messages = typeof inbox === 'string' ? await onPage(inbox, to) : inbox.messagesTo(to);
    const words = messages.find((message) => contains.test(message));
    if (words !== undefined) return words;
    await setTimeout(50);
  }
  throw new Error('no such message has come');
}

/** The code in the newest message to an address. */
export async function readCode(inbox: Inbox, to: string): Promise<string> {
  const code = /\d{6,8}/.exec(await readMessage(inbox, to, /\d{6,8}/))?.[0];
  if (code === undefined) throw new Error('the message has no code');
  return code;
}

async function onPage(issuer: string, to: string): Promise<string[]> {
  const { text } = await new UserAgent().get(`${issuer}/outbox`);
  return [...text.matchAll(/<article class="letter">([\s\S]*?)<\/article>/g)]
    .map(([, letter = '']) => letter)
    .filter((letter) => letter.includes(`>${to}<`))
    .map((letter) => /<p class="letter-text"[^>]*>([\s\S]*?)<\/p>/.exec(letter)?.[1] ?? '');
}
