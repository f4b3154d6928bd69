import { expect, test } from 'vitest';
import { deviceNameOf } from '../../../src/identity/protection/device-name.ts';

const CHROME = '(KHTML, like Gecko) Chrome/131.0.0.0';
const EXAMPLES: readonly (readonly [string, string | undefined, string | undefined])[] = [
  ['Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0', 'Firefox', 'Windows'],
  [
    `Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 ${CHROME} Safari/537.36 Edg/131.0.0.0`,
    'Edge',
    'Windows',
  ],
  [
    `Mozilla/5.0 (Linux; Android 14; Pixel) AppleWebKit/537.36 ${CHROME} Mobile Safari/537.36`,
    'Chrome',
    'Android',
  ],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1',
    'Safari',
    'iPhone',
  ],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.50(0x1800) NetType/WIFI',
    'WeChat',
    'iPhone',
  ],
  [
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15',
    'Safari',
    'macOS',
  ],
  [
    `Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 ${CHROME} Safari/537.36 ArkWeb/4.1 Mobile HuaweiBrowser/5.0`,
    'HUAWEI Browser',
    'HarmonyOS',
  ],
  ['curl/8.5.0', undefined, undefined],
  ['', undefined, undefined],
  ['<script>alert(1)</script>'.repeat(10_000), undefined, undefined],
];

test('a browser is named by family and system, and by nothing that a stranger writes', () => {
  for (const [userAgent, browser, system] of EXAMPLES)
    expect(deviceNameOf(userAgent)).toEqual({ browser, system });
});
