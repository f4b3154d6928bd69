import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createPortals,
  PortalError,
  type PortalRegistration,
  type Portals,
} from '../../src/portals/index.ts';
import { openRooms, type Rooms } from '../support/rooms.ts';

type Running = Portals & { stop(): Promise<void> };
let rooms: Rooms;
/** Two processes on one database. */
let one: Running;
let two: Running;

const registration = (clientId: string, more: Partial<PortalRegistration> = {}): PortalRegistration => ({
  clientId,
  name: { 'zh-CN': '测试门户' },
  sector: clientId,
  homeUri: 'https://portal.example.cn/',
  redirectUris: ['https://portal.example.cn/callback'],
  postLogoutRedirectUris: [],
  backchannelLogoutUri: undefined,
  scopes: ['openid'],
  ...more,
});

beforeAll(async () => {
  rooms = await openRooms();
  [one, two] = [
    await createPortals({ ...rooms, scopes: ['openid', 'phone'] }),
    await createPortals({ ...rooms, scopes: ['openid', 'phone'] }),
  ];
});
afterAll(async () => {
  await one.stop();
  await two.stop();
  await rooms.db.close();
});

describe('portals', () => {
  test('are known to every process at once, also where they were asked for before they existed', async () => {
    expect(await two.find('hainan')).toBeUndefined();
    await one.register(registration('hainan'), 'system');
    await expect.poll(() => two.find('hainan')).toMatchObject({ clientId: 'hainan', state: 'approved' });
    await one.register(registration('hainan', { homeUri: 'https://new.example.cn/' }), 'system');
    await expect.poll(async () => (await two.find('hainan'))?.homeUri).toBe('https://new.example.cn/');
  });

  test('have several secrets, each good in every process until it expires', async () => {
    await one.register(registration('fujian'), 'system');
    const [first, second] = [await one.issueSecret('fujian'), await two.issueSecret('fujian')];
    await expect.poll(() => two.checkSecret('fujian', first)).toBe(true);
    await expect.poll(() => one.checkSecret('fujian', second)).toBe(true);
    expect(await one.checkSecret('fujian', `${first}x`)).toBe(false);
    expect(await one.checkSecret('nobody', first)).toBe(false);
    await rooms.db.query('UPDATE portal_secrets SET expires_at = $1', [rooms.clock.now()]);
    const fresh = await createPortals({ ...rooms, scopes: ['openid'] });
    expect(await fresh.checkSecret('fujian', first)).toBe(false);
    await fresh.stop();
  });

  test('that are drafts or suspended are not found', async () => {
    for (const state of ['draft', 'suspended']) {
      await one.register(registration(`p-${state}`), 'system');
      await rooms.db.query('UPDATE portals SET state = $2 WHERE client_id = $1', [`p-${state}`, state]);
      const fresh = await createPortals({ ...rooms, scopes: ['openid'] });
      expect(await fresh.find(`p-${state}`)).toBeUndefined();
      await fresh.stop();
    }
  });

  test.each([
    ['plain http', { redirectUris: ['http://portal.example.cn/cb'] }, 'PORTAL_INVALID'],
    ['a fragment', { redirectUris: ['https://portal.example.cn/cb#x'] }, 'PORTAL_INVALID'],
    ['a user', { homeUri: 'https://a@portal.example.cn/' }, 'PORTAL_INVALID'],
    ['a script', { homeUri: 'javascript:alert(1)' }, 'PORTAL_INVALID'],
    ['no redirect URI', { redirectUris: [] }, 'PORTAL_INVALID'],
    ['an unknown scope', { scopes: ['everything'] }, 'PORTAL_SCOPE_UNKNOWN'],
  ])('with %s are refused', async (_what, more, code) => {
    const refused = await one.register(registration('bad', more), 'system').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(PortalError);
    expect((refused as PortalError).code).toBe(code);
    expect(await one.find('bad')).toBeUndefined();
  });

  test('in loopback development may use plain http', async () => {
    await one.register(
      registration('local', {
        redirectUris: ['http://localhost:3001/callback'],
        homeUri: 'http://127.0.0.1:3001/',
      }),
      'system',
    );
    expect(await one.find('local')).toBeDefined();
  });
});
