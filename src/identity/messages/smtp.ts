/** E-mail by a mail server (SMTP, RFC 5321), never in the clear beyond this machine. */
import { setTimeout } from 'node:timers/promises';
import { rootCertificates } from 'node:tls';
import { createTransport } from 'nodemailer';
import { Unacceptable } from '../../platform/outbox.ts';
import { CARRY_SECONDS, type Carrier } from './messages.ts';

export interface SmtpCarrier {
  readonly carry: Carrier;
  close(): void;
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * @param options.url `smtps://user:password@host:465` (TLS from the beginning, RFC 8314) or `smtp://...:587` (STARTTLS, RFC 3207, which the
 *   server must offer unless it runs on this machine).
 * @param options.from Address that messages come from.
 * @param options.fromName What people see as the sender, by language.
 * @param options.authorities Certificate authorities (PEM) that are trusted besides the public ones.
 */
export function createSmtpCarrier(options: {
  url: URL;
  from: string;
  fromName: (language: string) => string;
  authorities: readonly string[];
}): SmtpCarrier {
  const { url, from, authorities } = options;
  const implicit = url.protocol === 'smtps:';
  const transport = createTransport({
    pool: true,
    maxConnections: 4,
    host: url.hostname.replaceAll(/^\[|\]$/g, ''),
    port: Number(url.port || (implicit ? 465 : 587)),
    secure: implicit,
    requireTLS: !implicit && !LOOPBACK.has(url.hostname),
    ...(url.username === ''
      ? {}
      : { auth: { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) } }),
    tls: {
      minVersion: 'TLSv1.2',
      ...(authorities.length > 0 ? { ca: [...rootCertificates, ...authorities] } : {}),
    },
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 15_000,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    async carry({ id, to, language, subject, text }) {
      const sending = transport.sendMail({
        from: { name: options.fromName(language), address: from },
        to: { name: '', address: to },
        // The server tells by it that a repeated message is the same one.
        messageId: `<${id}@${from.slice(from.indexOf('@') + 1)}>`,
        // RFC 3834, section 5: no out-of-office answers.
        headers: { 'Auto-Submitted': 'auto-generated' },
        subject,
        text,
      });
      const late = new AbortController();
      const problem = await Promise.race([
        sending.then(
          () => undefined,
          (error: unknown) => error ?? 'unknown',
        ),
        setTimeout(CARRY_SECONDS * 1000, { code: 'TOO_SLOW' }, { signal: late.signal }).catch(
          () => undefined,
        ),
      ]);
      late.abort();
      if (problem !== undefined) throw described(problem);
    },
    close: () => transport.close(),
  };
}

/** What the server answered, without its words: they repeat the address. */
function described(problem: unknown): Error {
  const { code, responseCode } = problem as { code?: unknown; responseCode?: unknown };
  const said = [
    'SMTP',
    ...(typeof responseCode === 'number' ? [responseCode] : []),
    ...(typeof code === 'string' ? [code] : []),
  ].join(' ');
  // A refused recipient or content stays refused. A refused sign-in is for the operator to mend.
  const final = code === 'EENVELOPE' || code === 'EMESSAGE';
  return final && typeof responseCode === 'number' && responseCode >= 500
    ? new Unacceptable(said)
    : new Error(said);
}
