/** The device at which a request is made. */
import type { Context } from '../platform/http/context.ts';
import type { AccountId, DeviceId } from '../platform/ids.ts';
import type { Guard } from './guard.ts';

/** The device that the account knows and the request comes from, if it does. */
export async function currentDevice(
  guard: Pick<Guard, 'devices'>,
  ctx: Context,
  accountId: AccountId,
): Promise<DeviceId | undefined> {
  return (await guard.devices(ctx, accountId)).find(({ current }) => current)?.id;
}
