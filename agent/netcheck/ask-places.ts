import type { Clock } from '@nexodus/clock';
import { placeText } from './core/stun-servers.ts';
import type { Place } from './core/nat-verdict.ts';
import type { StunExchange, StunReply, StunTransaction } from './stun-exchange.ts';

/** Waits after each attempt, as in a NAT check. */
const WAIT_MS = [250, 500, 750] as const;

/** Asks STUN servers at once, the silent ones three times within 1.5 s. By `placeText`; never rejects. */
export async function askPlaces(
  places: readonly Place[],
  { exchange, clock, signal }: { exchange: StunExchange; clock: Clock; signal: AbortSignal },
): Promise<ReadonlyMap<string, StunReply>> {
  const replies = new Map<string, StunReply>();
  const isAnswered = new AbortController();
  const asked = new Map<string, StunTransaction>();
  for (const place of places) {
    const text = placeText(place);
    const onReply = (reply: StunReply): void => {
      if (reply.kind === 'success') replies.set(text, reply);
      asked.delete(text);
      if (asked.size === 0) isAnswered.abort();
    };
    asked.set(text, exchange.begin(place, onReply));
  }
  const ended = AbortSignal.any([isAnswered.signal, signal]);
  for (const waitMs of WAIT_MS) {
    if (ended.aborted || asked.size === 0) break;
    for (const transaction of asked.values()) transaction.send();
    await clock.wait(waitMs, ended);
  }
  for (const transaction of asked.values()) transaction.forget();
  return replies;
}
