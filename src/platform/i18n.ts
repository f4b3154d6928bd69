/** Languages: one catalogue of messages each, in `config/languages/`, and the choice of one for a request. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const DIRECTORY = fileURLToPath(new URL('../../config/languages/', import.meta.url));
/** Catalogues are complete in every language (a test holds them to it), so this decides only for whom no language fits. */
const FALLBACK = 'zh-CN';

export interface Language {
  /** BCP 47 tag, such as `zh-CN`. */
  readonly code: string;
  /** Its own name for itself. */
  readonly name: string;
  /** Which way it is written, for `dir` in HTML. */
  readonly direction: 'ltr' | 'rtl';
  /**
   * Looks up a message and fills its `{placeholders}`; `{n, plural, one {# minute} other {# minutes}}` chooses by number (ICU MessageFormat;
   * the categories of CLDR). The result is text: escaping is for the one who prints it.
   */
  t(key: string, parameters?: Readonly<Record<string, string | number>>): string;
  /** Day, time of day and zone, as its readers write them. */
  date(at: Date): string;
  /** Time of day alone, such as `09:05`. */
  time(at: Date): string;
}

export interface Languages {
  readonly all: readonly Language[];
  get(code: string): Language | undefined;
  /**
   * The first that fits: `ui_locales` of the request (OpenID Connect Core 1.0, section 3.1.2.1), the choice kept in a cookie, then
   * `Accept-Language` (RFC 9110, section 12.5.4).
   */
  choose(wishes: {
    uiLocales?: string | undefined;
    cookie?: string | undefined;
    acceptLanguage?: string | undefined;
  }): Language;
}

/**
 * Reads every catalogue.
 * @param options.timeZone IANA name: the zone of the people whom the installation serves; absent: that of the machine.
 * @throws {TypeError} one is not an object of strings.
 */
export function loadLanguages({
  directory = DIRECTORY,
  timeZone,
}: { readonly directory?: string | undefined; readonly timeZone?: string } = {}): Languages {
  const all = readdirSync(directory)
    .filter((file) => file.endsWith('.json'))
    .sort((a, b) => Number(b.startsWith(FALLBACK)) - Number(a.startsWith(FALLBACK)) || a.localeCompare(b))
    .map((file) =>
      toLanguage(
        file.slice(0, -'.json'.length),
        JSON.parse(readFileSync(`${directory}/${file}`, 'utf8')),
        timeZone,
      ),
    );
  const get = (code: string) => all.find((language) => language.code === code);
  const fallback = get(FALLBACK) ?? all[0];
  if (!fallback) throw new TypeError('no language catalogue was found');

  const match = (tag: string): Language | undefined => {
    const wish = tag.toLowerCase();
    const primary = wish.split('-')[0];
    return (
      all.find((l) => l.code.toLowerCase() === wish) ??
      all.find((l) => l.code.toLowerCase().split('-')[0] === primary)
    );
  };
  return {
    all,
    get,
    choose({ uiLocales, cookie, acceptLanguage }) {
      for (const tag of uiLocales?.split(' ', 20) ?? []) {
        const language = match(tag);
        if (language) return language;
      }
      const kept = cookie === undefined ? undefined : get(cookie);
      if (kept) return kept;
      for (const tag of preferred(acceptLanguage ?? '')) {
        const language = match(tag);
        if (language) return language;
      }
      return fallback;
    },
  };
}

/** The tags of an `Accept-Language` header, most wanted first; those with weight 0 are refused, not wanted. */
function preferred(header: string): string[] {
  return header
    .split(',', 20)
    .map((part) => {
      const [tag = '', ...parameters] = part.trim().split(';');
      const weight = parameters
        .map((p) => /^\s*q=([01](?:\.\d{0,3})?)\s*$/.exec(p)?.[1])
        .find((q) => q !== undefined);
      return { tag, weight: Number(weight ?? 1) };
    })
    .filter(({ tag, weight }) => tag !== '' && weight > 0)
    .sort((a, b) => b.weight - a.weight)
    .map(({ tag }) => tag);
}

function toLanguage(code: string, catalogue: unknown, timeZone: string | undefined): Language {
  if (typeof catalogue !== 'object' || catalogue === null)
    throw new TypeError(`the catalogue ${code} is not an object`);
  const messages = new Map<string, string>();
  for (const [key, message] of Object.entries(catalogue)) {
    if (typeof message !== 'string')
      throw new TypeError(`the catalogue ${code} has a message that is not text: ${key}`);
    messages.set(key, message);
  }
  const direction = messages.get('language.direction') ?? 'ltr';
  if (direction !== 'ltr' && direction !== 'rtl')
    throw new TypeError(`the catalogue ${code} is written neither ltr nor rtl`);
  const fill = createFiller(code, direction);
  const dates = new Intl.DateTimeFormat(code, {
    year: 'numeric',
    month: 'long',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    timeZone,
  });
  const zones = new Intl.DateTimeFormat(code, { timeZoneName: 'short', timeZone });
  const zoneAt = (at: Date) =>
    zones.formatToParts(at).find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const times = new Intl.DateTimeFormat(code, {
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    timeZone,
  });
  return {
    code,
    date: (at) =>
      fill(messages.get('date.zoned') ?? '{date} {zone}', { date: dates.format(at), zone: zoneAt(at) }),
    time: (at) => times.format(at),
    name: messages.get('language.name') ?? code,
    direction,
    t(key, parameters = {}) {
      const message = messages.get(key);
      if (message === undefined) throw new TypeError(`the catalogue ${code} has no message ${key}`);
      return fill(message, parameters);
    },
  };
}

const PLURAL = /\{(\w+), plural,((?: \w+ \{[^{}]*\})+)\}/g;
const FORM = /(\w+) \{([^{}]*)\}/g;

function createFiller(code: string, direction: 'ltr' | 'rtl') {
  const rules = new Intl.PluralRules(code);
  // A name or number of another script would pull the words beside it to the wrong side (Unicode Bidirectional Algorithm, FSI and PDI).
  const isolate = (value: string) => (direction === 'rtl' ? `\u2068${value}\u2069` : value);
  return (message: string, parameters: Readonly<Record<string, string | number>>): string =>
    message
      .replace(PLURAL, (_, name: string, forms: string) => {
        const number = Number(parameters[name]);
        const byCategory = new Map([...forms.matchAll(FORM)].map(([, category, text]) => [category, text]));
        const text = byCategory.get(rules.select(number)) ?? byCategory.get('other') ?? '';
        return text.replaceAll('#', isolate(String(number)));
      })
      .replace(/\{(\w+)\}/g, (placeholder, name: string) =>
        parameters[name] === undefined ? placeholder : isolate(String(parameters[name])),
      );
}
