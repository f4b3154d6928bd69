/**
 * The hot path: the handful of plain requests that nearly all traffic consists of, answered on the library's own records without the
 * library. Whatever it does not fully cover it leaves alone, and the library answers: errors are always the library's.
 */
import type { IncomingMessage } from 'node:http';
import type { CookieKeys } from '../../platform/http/cookie-keys.ts';
import type { Answer, DirectHandler } from '../../platform/http/direct.ts';
import { peekForm } from '../../platform/http/peek.ts';
import { ROUTES } from '../configuration.ts';
import type { PublishedKey } from '../token-keys.ts';
import { authorize, createCookieReader } from './authorize.ts';
import { createRoom, type HotParts } from './room.ts';
import { token } from './token.ts';
import { introspect, userinfo } from './userinfo.ts';

export type { HotParts } from './room.ts';

export interface HotOptions {
  readonly cookieKeys: CookieKeys;
  readonly sessionCookie: string;
}

/** @param keys Those of the generation; the first that signs with ES256 is used. */
export function createHotPath(
  parts: HotParts,
  keys: readonly PublishedKey[],
  options: HotOptions,
): DirectHandler {
  const key = keys.find(({ alg, signer }) => alg === 'ES256' && signer !== undefined);
  if (!key) return () => undefined;
  const room = createRoom(parts, key);
  const cookies = createCookieReader(options.cookieKeys);

  const withForm = async (
    request: IncomingMessage,
    answer: (form: ReadonlyMap<string, string>) => Promise<Answer | undefined>,
  ) => {
    const form = await peekForm(request);
    return form && answer(form);
  };

  return (request) => {
    const { url = '', method, headers } = request;
    const question = url.indexOf('?');
    const path = question === -1 ? url : url.slice(0, question);
    if (method === 'GET' && path === ROUTES.authorization && question !== -1)
      return authorize(
        room,
        new URLSearchParams(url.slice(question)),
        cookies.read(headers.cookie ?? '', options.sessionCookie),
      );
    if (question !== -1) return undefined;
    if (method === 'GET' && path === ROUTES.userinfo) return userinfo(room, headers);
    if (method === 'POST' && path === ROUTES.token)
      return withForm(request, (form) => token(room, headers, form));
    if (method === 'POST' && path === ROUTES.introspection)
      return withForm(request, (form) => introspect(room, headers, form));
    return undefined;
  };
}
