/** `npm run races [rounds]`: the long form of the races, 50 rounds each unless told otherwise. */
import { startServices } from '../setup/services.ts';
import {
  raceForNewPassword,
  raceForRecoveryCode,
  raceForSending,
  raceForSentCode,
  raceToStop,
  type Outcome,
} from './codes.ts';
import { startField } from './field.ts';
import {
  openEightPortals,
  raceForAssertion,
  raceForBackchannel,
  raceForCode,
  raceForCrossDevice,
  raceForDevice,
  raceForPasskey,
  raceForPassword,
  raceForProof,
  raceForRefresh,
  raceForRequestUri,
  raceForTotp,
  type Tally,
} from './races.ts';

const rounds = Number(process.argv[2] ?? 50);
const services = await startServices();
const field = await startField(services);
const failures: string[] = [];
const say = (line: string) => process.stdout.write(`${line}\n`);
try {
  for (let round = 0; round < rounds; round++) {
    const code = await raceForCode(field);
    if (
      code.statuses.filter((status) => status === 200).length !== 1 ||
      code.tokenAfterwards !== 401 ||
      code.statuses.some((status) => status >= 500)
    )
      failures.push(`code, round ${round}: ${JSON.stringify(code)}`);
    const pushed = await raceForRequestUri(field);
    if (pushed.codes !== 1 || pushed.serverErrors > 0)
      failures.push(`request_uri, round ${round}: ${JSON.stringify(pushed)}`);
    const device = await raceForDevice(field);
    const phone = await raceForCrossDevice(field);
    const tallies: Record<string, Tally> = {
      assertion: await raceForAssertion(field),
      'DPoP proof': await raceForProof(field),
      'device confirmation': device.confirmed,
      'device code': device.redeemed,
      auth_req_id: await raceForBackchannel(field),
      passkey: await raceForPasskey(field),
      'code on a screen': phone.opened,
      'number of a screen': phone.approved,
      'approval on a phone': phone.finished,
    };
    for (const [what, tally] of Object.entries(tallies))
      if (tally.won !== 1 || tally.serverErrors > 0)
        failures.push(`${what}, round ${round}: ${JSON.stringify(tally)}`);
    const { oneAddress, everywhere } = await raceForPassword(field);
    const crowds = {
      'password from one address': [oneAddress, 6],
      'password from everywhere': [everywhere, 20],
      'authenticator app': [await raceForTotp(field), 15],
    } as const;
    for (const [what, [crowd, budget]] of Object.entries(crowds))
      if (crowd.compared !== budget || crowd.others.length > 0)
        failures.push(`guesses at a ${what}, round ${round}: ${JSON.stringify(crowd)}`);
    const sent = await raceForSentCode(field);
    const typed: Record<string, Outcome> = {
      'code by text message': sent.right,
      'recovery code': await raceForRecoveryCode(field),
      'new password of a recovery': await raceForNewPassword(field),
    };
    for (const [what, outcome] of Object.entries(typed))
      if (outcome.won !== 1 || outcome.serverErrors > 0)
        failures.push(`${what}, round ${round}: ${JSON.stringify(outcome)}`);
    if (sent.guessed.wrong !== 5 || sent.guessed.over !== 5)
      failures.push(`guesses at a code by text message, round ${round}: ${JSON.stringify(sent.guessed)}`);
    const messages = await raceForSending(field);
    if (messages !== 1) failures.push(`sending, round ${round}: ${messages} messages`);
    const ends = await raceToStop(field);
    if (ends !== 1) failures.push(`stopping a recovery, round ${round}: ${ends} of two happened`);
    const refreshed = await raceForRefresh(field);
    if (refreshed.different !== 1 || refreshed.statuses.join() !== '200' || refreshed.livesOn !== 200)
      failures.push(`refresh, round ${round}: ${JSON.stringify(refreshed)}`);
    const reached = await openEightPortals(field);
    if (reached !== 8) failures.push(`eight portals, round ${round}: ${reached} reached`);
  }
} finally {
  await field.stop();
  await services.stop();
}
for (const failure of failures) say(failure);
say(
  `${rounds} rounds of everything that is good once, guesses, refresh and eight portals, on two processes: ${failures.length} failures`,
);
process.exitCode = failures.length > 0 ? 1 : 0;
