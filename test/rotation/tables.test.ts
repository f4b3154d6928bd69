/** No column is forgotten: each that holds bytes is described to the room that replaces keys, or is known to need none. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { IDENTITY_TABLES } from '../../src/identity/index.ts';
import { OIDC_TABLES } from '../../src/oidc/index.ts';
import type { Db } from '../../src/platform/db/db.ts';
import { openMigrated } from '../support/databases.ts';

/** Under no data key: digests, public keys, certificates, what custody encrypts, and keyed hashes that have no text beside them. */
const OTHERS: readonly string[] = [
  'accounts.user_handle',
  'audit_events.hash',
  'audit_events.previous',
  'audit_head.hash',
  'certificates.der',
  'certificates.fingerprint',
  'certificates.serial_number',
  'cross_device_requests.binding',
  'cross_device_requests.handle',
  'custody_data_keys.wrapped',
  'custody_keys.private_key',
  'custody_keys.public_key',
  'dual_control_acts.digest',
  'dual_control_approvals.digest',
  'known_devices.digest',
  'known_devices.previous_digest',
  'outside_chains.der',
  'passkeys.credential_id',
  'passkeys.public_key',
  'portal_secrets.hash',
  'recoveries.stop_digest',
  'recovery_codes.digest',
  'revocation_lists.der',
  'sealings.document_digest',
  'sealings.increment',
  'sealings.request_digest',
  'sealings.sealed_digest',
  // Good for minutes or days, or made anew at the next sign-in.
  'account_links.number_index',
  'api_requests.key_hash',
  'api_requests.request_hash',
  'fictional_live_checks.reference_digest',
  'known_networks.digest',
  'one_time_code_pauses.address',
  'one_time_codes.digest',
  'one_time_codes.slot',
];

let db: Db;
beforeAll(async () => {
  db = await openMigrated();
});
afterAll(() => db.close());

test('every column of bytes is described as encrypted or as an index, or is known to need no key', async () => {
  const described = new Set(
    [...IDENTITY_TABLES, ...OIDC_TABLES].flatMap(({ table, values, indexes = {} }) =>
      [...Object.keys(values), ...Object.keys(indexes)].map((column) => `${table}.${column}`),
    ),
  );
  const rows = await db.query<{ name: string }>(
    `SELECT table_name || '.' || column_name AS name FROM information_schema.columns
      WHERE table_schema = 'public' AND data_type = 'bytea'`,
  );
  const columns = new Set(rows.map(({ name }) => name));
  const others = new Set(OTHERS);
  expect(
    [...columns].filter((name) => !described.has(name) && !others.has(name)),
    'each needs an `EncryptedTable`, or a place in the list',
  ).toEqual([]);
  expect(
    OTHERS.filter((name) => described.has(name) || !columns.has(name)),
    'they belong in the list no more',
  ).toEqual([]);
});

test('every description names the primary key and columns that exist', async () => {
  for (const { table, key, reads = [], values, indexes = {} } of [...IDENTITY_TABLES, ...OIDC_TABLES]) {
    const columns = await db.query<{ name: string; type: string }>(
      'SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_name = $1',
      [table],
    );
    const typeOf = (column: string) => columns.find(({ name }) => name === column)?.type;
    const primary = await db.query<{ name: string }>(
      `SELECT a.attname AS name FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
        WHERE i.indrelid = $1::regclass AND i.indisprimary ORDER BY array_position(i.indkey::int[], a.attnum::int)`,
      [table],
    );
    expect(Object.keys(key), table).toEqual(primary.map(({ name }) => name));
    expect(Object.keys(key).map(typeOf), table).toEqual(Object.values(key));
    for (const column of [...Object.keys(values), ...Object.keys(indexes)])
      expect(typeOf(column), `${table}.${column}`).toBe('bytea');
    for (const column of reads) expect(typeOf(column), `${table}.${column}`).toBeDefined();
  }
});
