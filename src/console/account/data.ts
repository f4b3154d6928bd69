/** Everything that is held of a person, as one file (docs/account-export.md). It is written while it is sent: nobody's is too long. */
import { Readable } from 'node:stream';
import type { Subject } from './routes.ts';

const PATH = '/account/data';
/** Rows that are read at once. */
const PAGE = 500;

export function dataPages(subject: Subject): void {
  const { router, door, identity } = subject;

  router.get(
    '/data',
    door.personal({ full: true }, (ctx) => door.render(ctx, 'account-data', PATH, { action: PATH })),
  );

  router.post(
    '/data',
    door.personal({ full: true }, async (ctx, { account }) => {
      const { head, lists } = await held(subject, account.id);
      // On record, and told to the person, before anything leaves.
      await identity.personalData.exported(account.id);
      ctx.type = 'application/json';
      ctx.attachment('yinxin-account.json');
      ctx.body = Readable.from(written(head, lists));
    }),
  );
}

type Lists = Readonly<Record<string, AsyncIterable<object>>>;

async function held(
  { identity, own, organisations, audit, seals, clock }: Subject,
  accountId: Parameters<Subject['identity']['personalData']['of']>[0],
): Promise<{ head: object; lists: Lists }> {
  const [data, sessions, agreements, subjects, memberships, sealings, reports] = await Promise.all([
    identity.personalData.of(accountId),
    own.sessions.list(accountId, undefined),
    own.agreements(accountId),
    own.subjects(accountId),
    organisations.membershipsOf(accountId),
    seals.sealing.by(accountId),
    identity.misuseReports.of(accountId),
  ]);
  return {
    head: {
      format: 'urn:yinxin:account-export:1',
      writtenAt: clock.now(),
      ...data,
      sessions: sessions.map(({ beginning, lastSeenAt, clientIds }) => ({
        begunAt: beginning && new Date(beginning.at * 1000),
        browser: beginning?.browser,
        system: beginning?.system,
        network: beginning?.network,
        lastSeenAt,
        portals: clientIds,
      })),
      consents: agreements.map(({ clientId, ...agreement }) => ({ portal: clientId, ...agreement })),
      portalNumbers: subjects,
      organisations: memberships.map(({ organisation, unit, role }) => ({
        organisation: organisation.name,
        unit: unit?.name,
        role,
      })),
      sealings: sealings.map(({ clientId, ...sealing }) => ({ portal: clientId, ...sealing })),
      misuseReports: reports.map(({ accountId: _own, ...report }) => report),
    },
    lists: {
      releases: paged(
        (before: number | undefined) => own.releases.of(accountId, { limit: PAGE, before }),
        ({ id }) => id,
        ({ clientId, way, claims, at }) => ({ portal: clientId, way, claims, at }),
      ),
      mandates: paged(
        (after: string | undefined) => organisations.mandates.ofAgent(accountId, { limit: PAGE, after }),
        ({ id }) => id,
        ({ organisation, unit, services, seals: named, purpose, validFrom, validTo, revokedAt }) => ({
          organisation: organisation.name,
          unit: unit?.name,
          services,
          seals: named,
          purpose,
          validFrom,
          validTo,
          revokedAt,
        }),
      ),
      history: paged(
        (before: number | undefined) => audit.about(accountId, { limit: PAGE, before }),
        ({ entry }) => entry.seq,
        ({ entry: { at, type, actor, detail } }) => ({ at, type, actor, detail }),
      ),
    },
  };
}

/** All rows of a list that is read page by page, each as it is told. */
async function* paged<Row, Cursor>(
  read: (before: Cursor | undefined) => Promise<readonly Row[]>,
  cursorOf: (row: Row) => Cursor,
  told: (row: Row) => object,
): AsyncGenerator<object> {
  let before: Cursor | undefined;
  for (;;) {
    const rows = await read(before);
    for (const row of rows) yield told(row);
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return;
    before = cursorOf(last);
  }
}

/** One JSON object: the members of `head`, then each list as an array. */
async function* written(head: object, lists: Lists): AsyncGenerator<string> {
  yield JSON.stringify(head, null, 2).replace(/\n\}$/, '');
  for (const [name, rows] of Object.entries(lists)) {
    yield `,\n  ${JSON.stringify(name)}: [`;
    let separator = '\n    ';
    for await (const row of rows) {
      yield separator + JSON.stringify(row);
      separator = ',\n    ';
    }
    yield '\n  ]';
  }
  yield '\n}\n';
}
