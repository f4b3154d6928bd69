/** The registry of seals: what a seal is, whose it is, how it looks, and with which key and certificate it seals. */
import { createHash, randomInt } from 'node:crypto';
import type { AuditLog } from '../audit/index.ts';
import type { Certificates } from '../certification/index.ts';
import type { Custody } from '../custody/index.ts';
import type { Unit } from '../organisations/index.ts';
import type { Clock } from '../platform/clock.ts';
import { isUniqueViolation, type Db, type Queryable } from '../platform/db/db.ts';
import { newId, type CertificateId, type KeyId, type SealId, type UnitId } from '../platform/ids.ts';
import { drawRoundSeal, type GlyphSource } from './drawing/index.ts';
import type { Drawing } from './formats/format.ts';
import type { SealState } from './policy.ts';

export interface Seal {
  readonly id: SealId;
  /** 13 digits that name the seal to the public: the division of the organisation, then a number. */
  readonly code: string;
  readonly unitId: UnitId;
  /** What stands on it. */
  readonly name: string;
  /** `official`: the round seal of a unit. */
  readonly kind: 'official';
  readonly state: SealState;
  readonly keyId: KeyId;
  readonly certificateId: CertificateId;
}

export interface SealRegistry {
  /** Makes a seal for a unit: its key, its certificate and its drawing. A unit has one seal of a name: asked for again, it is found. */
  register(request: { unit: Unit; name: string }, actor: string): Promise<Seal>;
  find(id: string): Promise<Seal | undefined>;
  findByCertificate(fingerprint: Uint8Array): Promise<Seal | undefined>;
  /** The unit whose seal it is, asked in a transaction where one is open. */
  unitOf(q: Queryable, id: SealId): Promise<UnitId | undefined>;
  ofUnits(unitIds: readonly UnitId[]): Promise<Seal[]>;
  /** The registered drawing, the one source of every picture of the seal. */
  drawing(id: SealId): Promise<Drawing>;
}

interface SealRow {
  id: SealId;
  code: string;
  unit_id: UnitId;
  name: string;
  kind: 'official';
  state: SealState;
  key_id: KeyId;
  certificate_id: CertificateId;
}

const COLUMNS = 's.id, s.code, s.unit_id, s.name, s.kind, s.state, s.key_id, s.certificate_id';
/** State Council rule 1999 No. 25: round seals of enterprises and of bodies below the provinces are at most 45 mm; 40 is common. */
const DIAMETER_MM = 40;
const CACHE_ENTRIES = 500;

export function createSealRegistry(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  custody: Custody;
  certificates: Certificates;
  glyphs: GlyphSource;
}): SealRegistry {
  const { db, clock, audit, custody, certificates } = parts;
  /** A drawing never changes, and formats keep what they derive from the object: the same one is handed out each time. */
  const drawings = new Map<SealId, Drawing>();

  async function findOfUnit(unitId: UnitId, name: string): Promise<Seal | undefined> {
    const [row] = await db.query<SealRow>(
      `SELECT ${COLUMNS} FROM seals s WHERE s.unit_id = $1 AND s.name = $2`,
      [unitId, name],
    );
    return row && toSeal(row);
  }

  return {
    async register({ unit, name }, actor) {
      const existing = await findOfUnit(unit.id, name);
      if (existing) return existing;
      const division = unit.organisation.unifiedSocialCreditCode.slice(2, 8);
      const code = division + String(randomInt(10_000_000)).padStart(7, '0');
      const drawing = drawRoundSeal(
        { name, code, diameterMm: DIAMETER_MM },
        await parts.glyphs.load(name + code),
      );
      const drawingJson = JSON.stringify(drawing);
      try {
        return await db.transaction(async (tx) => {
          const key = await custody.generate(tx, { owner: unit.id, purpose: 'seal', actor });
          const { id: certificateId } = await certificates.issueSealCertificate(tx, {
            unit,
            sealName: name,
            key,
            actor,
          });
          const seal: Seal = {
            id: newId('seal', clock.now()),
            code,
            unitId: unit.id,
            name,
            kind: 'official',
            state: 'active',
            keyId: key.id,
            certificateId,
          };
          await tx.query(
            `INSERT INTO seals (id, code, unit_id, name, kind, state, key_id, certificate_id, drawing, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
            [
              seal.id,
              seal.code,
              seal.unitId,
              name,
              seal.kind,
              seal.state,
              key.id,
              certificateId,
              drawingJson,
              clock.now(),
            ],
          );
          await audit.record(tx, {
            type: 'seal.registered',
            actor,
            subject: seal.id,
            detail: {
              unitId: unit.id,
              code: seal.code,
              certificateId,
              drawingDigest: createHash('sha256').update(drawingJson).digest('hex'),
            },
          });
          return seal;
        });
      } catch (error) {
        // Two processes registered it at once; the other one's seal is the seal.
        const other = isUniqueViolation(error) ? await findOfUnit(unit.id, name) : undefined;
        if (other) return other;
        throw error;
      }
    },

    async find(id) {
      const [row] = await db.query<SealRow>(`SELECT ${COLUMNS} FROM seals s WHERE s.id = $1`, [id]);
      return row && toSeal(row);
    },

    async findByCertificate(fingerprint) {
      const [row] = await db.query<SealRow>(
        `SELECT ${COLUMNS} FROM seals s JOIN certificates c ON c.id = s.certificate_id WHERE c.fingerprint = $1`,
        [fingerprint],
      );
      return row && toSeal(row);
    },

    async unitOf(q, id) {
      const [row] = await q.query<{ unit_id: UnitId }>('SELECT unit_id FROM seals WHERE id = $1', [id]);
      return row?.unit_id;
    },

    async ofUnits(unitIds) {
      if (unitIds.length === 0) return [];
      const rows = await db.query<SealRow>(
        `SELECT ${COLUMNS} FROM seals s WHERE s.unit_id = ANY($1) ORDER BY s.id`,
        [unitIds],
      );
      return rows.map(toSeal);
    },

    async drawing(id) {
      const kept = drawings.get(id);
      if (kept) return kept;
      const [row] = await db.query<{ drawing: Drawing }>('SELECT drawing FROM seals WHERE id = $1', [id]);
      if (!row) throw new TypeError('the seal has no drawing');
      drawings.set(id, row.drawing);
      const [oldest] = drawings.keys();
      if (drawings.size > CACHE_ENTRIES && oldest !== undefined) drawings.delete(oldest);
      return row.drawing;
    },
  };
}

function toSeal(row: SealRow): Seal {
  return {
    id: row.id,
    code: row.code,
    unitId: row.unit_id,
    name: row.name,
    kind: row.kind,
    state: row.state,
    keyId: row.key_id,
    certificateId: row.certificate_id,
  };
}
