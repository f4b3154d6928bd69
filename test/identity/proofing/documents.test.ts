import { describe, expect, test } from 'vitest';
import {
  canonicalName,
  checkCharacter,
  documentKey,
  isName,
  readDocument,
  thirdItemsOf,
  type DocumentKind,
} from '../../../src/identity/proofing/documents.ts';

const NOW = new Date('2026-11-23T08:00:00Z');
const read = (kind: DocumentKind, number: string, issuingCountry?: string) =>
  readDocument({ kind, number, issuingCountry }, NOW);
const problem = (kind: DocumentKind, number: string, issuingCountry?: string) => {
  const reading = read(kind, number, issuingCountry);
  return 'problem' in reading ? reading.problem : undefined;
};
const numberOf = (kind: DocumentKind, number: string, issuingCountry?: string) => {
  const reading = read(kind, number, issuingCountry);
  return 'document' in reading ? reading.document.number : reading.problem;
};
const withCheck = (digits: string) => digits + checkCharacter(digits);

/** A fixed sequence of numbers that look random (xorshift), so that a failure can be repeated. */
function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** Resident numbers of every kind of place, date and sequence. */
function residentNumbers(count: number): string[] {
  const next = sequence(20_261_123);
  const provinces = ['11', '13', '22', '33', '44', '50', '54', '65', '71'];
  return Array.from({ length: count }, () => {
    const day = new Date(Date.UTC(1900 + next(126), next(12), 1 + next(28)));
    const date = day.toISOString().slice(0, 10).replaceAll('-', '');
    const place = (provinces[next(provinces.length)] ?? '11') + String(next(10_000)).padStart(4, '0');
    return withCheck(place + date + String(next(1000)).padStart(3, '0'));
  });
}

describe('the resident number (GB 11643)', () => {
  test('is accepted where its check character, date and place hold', () => {
    for (const number of ['11010519491231002X', '440524188001010014'])
      expect(numberOf('resident-id', number)).toBe(number);
    expect(problem('resident-id', '110105194912310021')).toBe('NUMBER_CHECK');
  });

  test('says date of birth and sex', () => {
    expect(read('resident-id', '11010519491231002X')).toMatchObject({
      facts: { birthdate: '1949-12-31', gender: 'female' },
    });
    expect(read('resident-id', '440524188001010014')).toMatchObject({
      facts: { birthdate: '1880-01-01', gender: 'male' },
    });
  });

  test('has one form however it is typed', () => {
    for (const typed of [
      '11010519491231002x',
      ' 110105 19491231 002X ',
      '１１０１０５１９４９１２３１００２Ｘ',
      '110105-19491231-002Ｘ',
      '110105\u300019491231\u00a0002x',
    ])
      expect(numberOf('resident-id', typed)).toBe('11010519491231002X');
  });

  test('of 15 digits is refused with the hint that the 18-digit form is needed', () => {
    expect(problem('resident-id', '110105491231002')).toBe('NUMBER_FIFTEEN');
  });

  test('has a date that exists and is not to come, by the calendar of China', () => {
    const born = (date: string) => withCheck(`110105${date}002`);
    for (const date of ['19490230', '19491301', '19490001', '19490100', '19000229', '17991231', '20261124'])
      expect(problem('resident-id', born(date))).toBe('NUMBER_DATE');
    expect(problem('resident-id', born('20000229'))).toBeUndefined();
    expect(problem('resident-id', born('20261123'))).toBeUndefined();
    // 16:30 UTC is the next day in China.
    const evening = new Date('2026-11-23T16:30:00Z');
    expect(readDocument({ kind: 'resident-id', number: born('20261124') }, evening)).toHaveProperty(
      'document',
    );
  });

  test('begins with a province of GB/T 2260', () => {
    for (const place of ['000000', '990000', '160105', '700000'])
      expect(['NUMBER_REGION', 'NUMBER_OTHER_KIND']).toContain(
        problem('resident-id', withCheck(`${place}19491231002`)),
      );
    expect(problem('resident-id', withCheck('16010519491231002'))).toBe('NUMBER_REGION');
  });

  test('is not a number of another kind that has 18 places too', () => {
    const permit = withCheck('81000019491231002');
    const taiwan = withCheck('83000019491231002');
    const card = withCheck('91127619491231002');
    for (const number of [permit, taiwan, card])
      expect(problem('resident-id', number)).toBe('NUMBER_OTHER_KIND');
    expect(problem('hk-macao-residence-permit', taiwan)).toBe('NUMBER_OTHER_KIND');
    expect(problem('taiwan-residence-permit', '11010519491231002X')).toBe('NUMBER_OTHER_KIND');
  });

  test('has no length or sign of another kind', () => {
    for (const typed of ['', '1', '1101051949123100', '11010519491231002XX', '1'.repeat(5000)])
      expect(problem('resident-id', typed)).toBe('NUMBER_LENGTH');
    for (const typed of [
      '1101051949123100AX',
      'X10105194912310022',
      '11010519491231002Y',
      '１１０１０５１９４９１２３１００２十',
    ])
      expect(problem('resident-id', typed)).toBe('NUMBER_FORM');
  });

  test('shows any single wrong digit', () => {
    for (const number of residentNumbers(200)) {
      expect(problem('resident-id', number)).toBeUndefined();
      for (let at = 0; at < 18; at++)
        for (const digit of at === 17 ? '0123456789X' : '0123456789')
          if (digit !== number[at])
            expect(problem('resident-id', number.slice(0, at) + digit + number.slice(at + 1))).toBe(
              'NUMBER_CHECK',
            );
    }
  });

  test('shows any two neighbours that changed places', () => {
    for (const number of residentNumbers(500))
      for (let at = 0; at < 17; at++) {
        const [one = '', other = ''] = [number[at], number[at + 1]];
        if (one === other) continue;
        const swapped = number.slice(0, at) + other + one + number.slice(at + 2);
        expect(['NUMBER_CHECK', 'NUMBER_FORM']).toContain(problem('resident-id', swapped));
      }
  });
});

describe('permits', () => {
  test('a travel permit of Hong Kong and Macao keeps its number over re-issues', () => {
    expect(numberOf('hk-macao-travel-permit', 'h1234567800')).toBe('H12345678');
    expect(numberOf('hk-macao-travel-permit', 'M12345678')).toBe('M12345678');
    expect(problem('hk-macao-travel-permit', 'K12345678')).toBe('NUMBER_FORM');
    expect(problem('hk-macao-travel-permit', 'H1234567')).toBe('NUMBER_LENGTH');
  });

  test('a travel permit of Taiwan keeps its number over re-issues', () => {
    for (const typed of ['12345678', '1234567801', '12345678 01 (B)', '1234567801Ｂ'])
      expect(numberOf('taiwan-travel-permit', typed)).toBe('12345678');
    expect(problem('taiwan-travel-permit', '123456789')).toBe('NUMBER_LENGTH');
    expect(problem('taiwan-travel-permit', '1234567A')).toBe('NUMBER_FORM');
  });

  test('residence permits follow the citizen number, with places of their own', () => {
    for (const place of ['810000', '820000'])
      expect(problem('hk-macao-residence-permit', withCheck(`${place}19900307002`))).toBeUndefined();
    const taiwan = withCheck('83000019900307003');
    expect(read('taiwan-residence-permit', taiwan)).toMatchObject({
      document: { number: taiwan },
      facts: { birthdate: '1990-03-07', gender: 'male' },
    });
    expect(problem('hk-macao-residence-permit', withCheck('81010019900307002'))).toBe('NUMBER_OTHER_KIND');
  });
});

describe('the permanent resident card of foreigners', () => {
  test('is read in the form of 15 signs and in that of 18', () => {
    expect(numberOf('foreign-permanent-resident-card', 'can110198002180')).toBe('CAN110198002180');
    const number = withCheck('91112419800218002');
    expect(read('foreign-permanent-resident-card', number)).toMatchObject({
      document: { number },
      facts: { birthdate: '1980-02-18' },
    });
  });

  test('is refused in any other', () => {
    expect(problem('foreign-permanent-resident-card', 'CA1110198002180')).toBe('NUMBER_FORM');
    expect(problem('foreign-permanent-resident-card', 'CAN11019800218')).toBe('NUMBER_LENGTH');
    expect(problem('foreign-permanent-resident-card', withCheck('91612419800218002'))).toBe('NUMBER_REGION');
    expect(problem('foreign-permanent-resident-card', '11010519491231002X')).toBe('NUMBER_OTHER_KIND');
  });
});

describe('passports (ICAO Doc 9303)', () => {
  test('are known by number and issuing country together', () => {
    const german = read('passport', 'c01x 00t47', 'D');
    const utopian = read('passport', 'C01X00T47', 'uto');
    expect(german).toMatchObject({ document: { number: 'C01X00T47', issuingCountry: 'D' } });
    if ('problem' in german || 'problem' in utopian) throw new Error('not read');
    expect(documentKey(german.document)).not.toBe(documentKey(utopian.document));
  });

  test('have up to nine letters and digits, and a country', () => {
    expect(problem('passport', 'E1234567890', 'CHN')).toBe('NUMBER_LENGTH');
    expect(problem('passport', 'E123', 'CHN')).toBe('NUMBER_LENGTH');
    expect(problem('passport', 'E12<4567', 'CHN')).toBe('NUMBER_FORM');
    expect(problem('passport', 'ABCDEFG', 'CHN')).toBe('NUMBER_FORM');
    for (const country of ['', 'C1N', 'CHNA', '中国'])
      expect(problem('passport', 'E12345678', country)).toBe('COUNTRY_FORM');
  });
});

test('no two documents share a key', () => {
  const keys = [
    documentKey({ kind: 'passport', number: '12345678', issuingCountry: 'CHN' }),
    documentKey({ kind: 'passport', number: '12345678', issuingCountry: 'D' }),
    documentKey({ kind: 'taiwan-travel-permit', number: '12345678' }),
  ];
  expect(new Set(keys).size).toBe(keys.length);
});

test('a date of birth that the number contains already is no third item', () => {
  expect(thirdItemsOf('resident-id')).not.toContain('birthdate');
  expect(thirdItemsOf('passport')).toContain('birthdate');
  for (const kind of ['resident-id', 'passport', 'taiwan-travel-permit'] as const)
    expect(thirdItemsOf(kind).length).toBeGreaterThan(0);
});

test('a name is compared without regard to spaces, width, case and the kind of its dots', () => {
  expect(canonicalName('  买买提•艾力 ')).toBe(canonicalName('买买提・艾力'));
  expect(canonicalName('Ｌｉ  hua')).toBe('LI HUA');
  for (const name of ['李华', '买买提·艾力', "O'Neill", 'María José', 'Ｌｉ Hua'])
    expect(isName(name)).toBe(true);
  for (const name of ['', ' ', '李华1', '<b>', 'a'.repeat(101), '·']) expect(isName(name)).toBe(false);
});
