/** What a browser says of itself, reduced to what its owner recognises it by: family and system, no version, no model. Pure. */

export interface DeviceName {
  /** Such as `Firefox`; undefined if it is none that is known here. */
  readonly browser: string | undefined;
  /** Such as `Windows`. */
  readonly system: string | undefined;
}

/** The first that fits. Those built on others name them too, so they stand first. */
const BROWSERS: readonly (readonly [string, RegExp])[] = [
  ['WeChat', /MicroMessenger\//],
  ['Alipay', /AlipayClient\//],
  ['QQ Browser', /MQQBrowser\/|QQBrowser\//],
  ['UC Browser', /UCBrowser\//],
  ['HUAWEI Browser', /HuaweiBrowser\//],
  ['Mi Browser', /MiuiBrowser\//],
  ['Samsung Internet', /SamsungBrowser\//],
  ['Edge', /Edg(?:e|A|iOS)?\//],
  ['Opera', /OPR\//],
  ['Firefox', /Firefox\/|FxiOS\//],
  ['Chrome', /Chrome\/|CriOS\/|Chromium\//],
  ['Safari', /Version\/[\d.]+ .*Safari\//],
];
const SYSTEMS: readonly (readonly [string, RegExp])[] = [
  ['HarmonyOS', /HarmonyOS|OpenHarmony/],
  ['iPhone', /iPhone/],
  ['iPad', /iPad/],
  ['Android', /Android/],
  ['Windows', /Windows NT/],
  ['ChromeOS', /CrOS/],
  ['macOS', /Macintosh/],
  ['Linux', /Linux/],
];
/** Longer ones are cut: the header is a stranger's text. */
const MAX_LENGTH = 1024;

/** @param userAgent Header `User-Agent` (RFC 9110, section 10.1.5). */
export function deviceNameOf(userAgent: string): DeviceName {
  const text = userAgent.slice(0, MAX_LENGTH);
  const first = (list: typeof BROWSERS) => list.find(([, pattern]) => pattern.test(text))?.[0];
  return { browser: first(BROWSERS), system: first(SYSTEMS) };
}
