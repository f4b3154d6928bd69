/** A small browser without scripts: cookies as browsers keep them, redirects, and forms read out of pages. For the demonstration and the tests. */
import { CookieJar } from 'tough-cookie';

export interface Page {
  readonly url: URL;
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Every address that was visited to get here, this one last. */
  readonly visited: readonly URL[];
  readonly forms: readonly Form[];
}

export interface Form {
  readonly action: URL;
  readonly fields: Readonly<Record<string, string>>;
}

const MAX_REDIRECTS = 20;

export class UserAgent {
  readonly jar = new CookieJar(undefined, { rejectPublicSuffixes: false, prefixSecurity: 'strict' });
  readonly #headers: Readonly<Record<string, string>>;
  readonly #dial: (url: URL) => URL;

  /** @param dial Where a public address is really reached, as behind a proxy that ends TLS. */
  constructor(
    headers: Readonly<Record<string, string>> = { 'Accept-Language': 'zh-CN' },
    dial = (url: URL) => url,
  ) {
    this.#headers = headers;
    this.#dial = dial;
  }

  /** Fetches a page and follows redirects. @param until An address that is not fetched any more, such as a redirect URI of one's own. */
  get(url: string | URL, until?: string): Promise<Page> {
    return this.#visit(new URL(url), { method: 'GET' }, until);
  }

  /** Sends the form whose action ends with `action` (or the only one), with `fields` filled in over what the page put there. */
  submit(
    page: Page,
    fields: Readonly<Record<string, string>> = {},
    action = '',
    until?: string,
  ): Promise<Page> {
    const form = page.forms.find((candidate) => candidate.action.pathname.endsWith(action));
    if (!form) throw new Error(`${page.url.href} (${page.status}) has no form to ${action || 'send'}`);
    const body = new URLSearchParams({ ...form.fields, ...fields });
    return this.#visit(form.action, { method: 'POST', body, headers: { Origin: page.url.origin } }, until);
  }

  async #visit(
    start: URL,
    first: { method: string; body?: URLSearchParams; headers?: Record<string, string> },
    until?: string,
  ): Promise<Page> {
    const visited: URL[] = [];
    let url = start;
    let request = first;
    for (;;) {
      visited.push(url);
      const cookie = await this.jar.getCookieString(url.href);
      const response = await fetch(this.#dial(url), {
        ...request,
        redirect: 'manual',
        headers: {
          Accept: 'text/html',
          ...this.#headers,
          ...request.headers,
          ...(cookie === '' ? {} : { Cookie: cookie }),
        },
      });
      for (const line of response.headers.getSetCookie())
        await this.jar.setCookie(line, url.href, { ignoreError: true });
      const location = response.headers.get('location');
      if (location === null) {
        const text = await response.text();
        return {
          url,
          status: response.status,
          headers: response.headers,
          text,
          visited,
          forms: readForms(text, url),
        };
      }
      await response.body?.cancel();
      if (visited.length > MAX_REDIRECTS) throw new Error(`too many redirects from ${start.href}`);
      url = new URL(location, url);
      request = { method: 'GET' };
      if (until !== undefined && url.href.startsWith(until))
        return {
          url,
          status: response.status,
          headers: response.headers,
          text: '',
          visited: [...visited, url],
          forms: [],
        };
    }
  }
}

function readForms(html: string, base: URL): Form[] {
  return [...html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/g)].map(([, attributes = '', content = '']) => {
    const inputs = [...content.matchAll(/<input\b([^>]*)>/g)]
      // A box that is not ticked is not sent.
      .filter(([, input = '']) => attribute(input, 'type') !== 'checkbox' || /\bchecked\b/.test(input))
      .map(([, input = '']) => [attribute(input, 'name'), attribute(input, 'value')] as const);
    return {
      action: new URL(attribute(attributes, 'action'), base),
      fields: Object.fromEntries(inputs.filter(([name]) => name !== '')),
    };
  });
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };

function attribute(attributes: string, name: string): string {
  const value = new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? '';
  return value.replace(/&(amp|lt|gt|quot|#39);/g, (_, entity: string) => ENTITIES[entity] ?? '');
}
