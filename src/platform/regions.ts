/** Administrative divisions (GB/T 2260): six digits, of which the first two name the province, the next two the prefecture, the last the county. */
import regions from '../../config/regions.json' with { type: 'json' };

/** Whether `code` lies in a province that GB/T 2260 knows; prefectures and counties change yearly and are not checked one by one. */
export function isRegion(code: string): boolean {
  return /^\d{6}$/.test(code) && `${code.slice(0, 2)}0000` in regions;
}
