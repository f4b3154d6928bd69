/** The counters of server mode. A script touches one key, a hash that holds every window of it, so that Redis Cluster serves it unchanged. */
import type { Clock } from '../../../platform/clock.ts';
import { createScripts, type Redis } from '../../../platform/redis.ts';
import type { LimitStore } from './store.ts';

/**
 * ARGV: milliseconds since 1970, then tries and seconds of each window. Fields by the seconds of the window: `n` the tries counted, `e` its
 * end. Times are written with `%.0f`: Lua would make 1.7e+12 of them.
 */
const TAKE = `
local now = tonumber(ARGV[1])
local wait, longest, used = 0, 0, 0
local counts, ends = {}, {}
for i = 2, #ARGV, 2 do
  local seconds = ARGV[i + 1]
  local count = tonumber(redis.call('HGET', KEYS[1], 'n' .. seconds) or '0')
  local finish = tonumber(redis.call('HGET', KEYS[1], 'e' .. seconds) or '0')
  if finish <= now then
    count = 0
    finish = now + tonumber(seconds) * 1000
  end
  if count >= tonumber(ARGV[i]) and finish - now > wait then wait = finish - now end
  if tonumber(seconds) > longest then
    longest = tonumber(seconds)
    used = count
  end
  counts[i], ends[i] = count, finish
end
if wait > 0 then return { wait, used } end
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], 'n' .. ARGV[i + 1], counts[i] + 1, 'e' .. ARGV[i + 1], string.format('%.0f', ends[i]))
end
redis.call('EXPIRE', KEYS[1], longest)
return { 0, used + 1 }`;

const GIVE_BACK = `
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 1) == 'n' and tonumber(fields[i + 1]) > 0 then redis.call('HINCRBY', KEYS[1], fields[i], -1) end
end`;

export function createRedisLimitStore(redis: Redis, prefix: string, clock: Clock): LimitStore {
  const run = createScripts(redis);
  const name = (key: string) => `${prefix}:Limit:${key}`;
  return {
    async take(key, windows) {
      const [waitMs, used] = (await run(TAKE, name(key), [
        String(clock.now().getTime()),
        ...windows.flatMap(({ tries, seconds }) => [String(tries), String(seconds)]),
      ])) as [number, number];
      return { waitSeconds: Math.ceil(waitMs / 1000), used };
    },
    async giveBack(key) {
      await run(GIVE_BACK, name(key), []);
    },
    async clear(key) {
      await redis.del(name(key));
    },
  };
}
