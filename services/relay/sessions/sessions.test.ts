import { eventually } from '@nexodus/clock/testing';
import { SessionEndReason } from '@nexodus/contracts/relay-session';
import { describe, expect, test } from 'vitest';
import { grantFor, makeDevice, startSessions } from './sessions.fixture.ts';

const a = makeDevice('a');
const b = makeDevice('b');
const c = makeDevice('c');

describe('attaching', () => {
  test('a device that proves its key for this relay is admitted to the TLS lane until it leaves', async () => {
    const { attach, cut, followed, hub } = startSessions();
    const stream = await attach(a);
    expect(hub.admits(a.wireguardPublicKey)).toBe(true);
    expect(hub.admits(b.wireguardPublicKey)).toBe(false);
    expect(followed.size).toBe(1);
    await stream.close();
    await eventually(() => expect(hub.counts.attachments).toBe(0));
    expect(hub.admits(a.wireguardPublicKey)).toBe(false);
    expect(cut).toEqual([a.wireguardPublicKey.toString('hex')]);
    expect(followed.size).toBe(0);
  });

  test('a stream that proves no key in 10 s ends', async () => {
    const { attach, clock, open } = startSessions();
    const attached = await attach(a);
    const silent = open();
    await silent.heard('challenge');
    for (let beats = 0; beats < 3; beats += 1) {
      clock.advance(5_000);
      await attached.heard('heartbeat', beats + 1);
    }
    expect(await silent.ended).toMatchObject({ details: { reason: 'PROOF_INVALID' } });
    await attached.close();
  });

  test('a device that asks for more than its share is cut off', async () => {
    const { attach } = startSessions();
    const stream = await attach(a);
    for (let index = 0; index < 601; index += 1) stream.say('closeSession', { sessionId: 1n });
    expect(await stream.ended).toMatchObject({ details: { reason: 'TOO_MANY_REQUESTS' } });
  });

  test('a pass that was revoked is of no use again', async () => {
    const { attach, clock, followed, hub, open } = startSessions();
    const pass = grantFor(clock, [a]);
    const stream = open();
    await stream.attach(a, pass.signed);
    await stream.heard('attached');
    hub.revoke([pass.grantId]);
    await stream.ended;
    const again = open();
    await again.attach(a, pass.signed);
    expect(await again.ended).toMatchObject({ details: { reason: 'GRANT_REVOKED' } });
    expect(followed.size).toBe(0);
    await (await attach(a)).close();
  });

  test('a pass that is shown twice is followed on', async () => {
    const { clock, followed, open } = startSessions();
    const pass = grantFor(clock, [a]);
    const stream = open();
    await stream.attach(a, pass.signed);
    await stream.heard('attached');
    await stream.attach(a, pass.signed);
    stream.say('heartbeat', { ping: 7n });
    await stream.heard('heartbeat');
    expect([...followed]).toEqual([pass.grantId]);
    await stream.close();
  });

  test('another device’s pass, a proof for another relay and a pair instead of a pass are refused', async () => {
    const { clock, hub, open } = startSessions();
    const stranger = open();
    await stranger.attach(b, grantFor(clock, [a]).signed);
    expect(await stranger.ended).toMatchObject({ details: { reason: 'PROOF_INVALID' } });
    const elsewhere = open();
    await elsewhere.attach(a, grantFor(clock, [a]).signed, { relayId: 'relay-2' });
    expect(await elsewhere.ended).toMatchObject({ details: { reason: 'PROOF_INVALID' } });
    const pair = open();
    await pair.attach(a, grantFor(clock, [a, b]).signed);
    expect(await pair.ended).toMatchObject({ details: { reason: 'GRANT_INVALID' } });
    expect(hub.counts.attachments).toBe(0);
  });

  test('nothing else is done for a device before it has attached', async () => {
    const { clock, hub, open } = startSessions();
    const stream = open();
    stream.say('openSession', { grant: grantFor(clock, [a, b]).signed });
    expect(await stream.ended).toMatchObject({ details: { reason: 'PROOF_INVALID' } });
    expect(hub.counts.sessions).toBe(0);
  });

  test('a device that asks whether the relay is there is answered at once', async () => {
    const { attach } = startSessions();
    const stream = await attach(a);
    stream.say('heartbeat', { ping: 0n });
    stream.say('heartbeat', { ping: 7n });
    expect(await stream.heard('heartbeat')).toEqual({ ping: 7n });
    await stream.close();
  });

  test('a newer attachment replaces the older one, and only after its own proof', async () => {
    const { attach, clock, hub, open } = startSessions();
    const first = await attach(a);
    const forged = open();
    await forged.attach(b, grantFor(clock, [a]).signed);
    await forged.ended;
    expect(hub.counts.attachments).toBe(1);
    const second = await attach(a);
    expect(await first.ended).toMatchObject({ details: { reason: 'REPLACED' } });
    expect(hub.admits(a.wireguardPublicKey)).toBe(true);
    await second.close();
  });

  test('a pass that ends or is revoked ends the attachment; a newer one renews it', async () => {
    const { attach, clock, followed, hub } = startSessions();
    const [streamA, streamB] = [await attach(a), await attach(b)];
    clock.advance(300_000);
    const passesAtFirst = new Set(followed);
    await streamA.attach(a, grantFor(clock, [a]).signed);
    const renewed = await eventually(
      () => [...followed].find((grantId) => !passesAtFirst.has(grantId)) ?? false,
    );
    clock.advance(300_000);
    hub.expire();
    expect(await streamB.ended).toMatchObject({ details: { reason: 'GRANT_EXPIRED' } });
    expect(hub.counts.attachments).toBe(1);
    hub.revoke([renewed]);
    expect(await streamA.ended).toMatchObject({ details: { reason: 'GRANT_REVOKED' } });
  });

  test('a full relay and one that drains send devices elsewhere', async () => {
    const { attach, clock, hub, open } = startSessions({ attachments: 1 });
    const stream = await attach(a);
    const more = open();
    await more.attach(b, grantFor(clock, [b]).signed);
    expect(await more.ended).toMatchObject({ details: { reason: 'RELAY_FULL' } });
    hub.drain(clock.now() + 60_000);
    expect((await stream.heard('draining')).untilMs).toBe(BigInt(clock.now() + 60_000));
    const again = open();
    await again.attach(a, grantFor(clock, [a]).signed);
    expect(await again.ended).toMatchObject({ details: { reason: 'RELAY_DRAINING' } });
    await stream.close();
  });
});

describe('a session', () => {
  async function opened(limits: Parameters<typeof startSessions>[0] = {}) {
    const sessions = startSessions(limits);
    const [streamA, streamB] = [await sessions.attach(a), await sessions.attach(b)];
    const grant = grantFor(sessions.clock, [a, b]);
    streamA.say('openSession', { grant: grant.signed });
    const openedA = await streamA.heard('sessionOpened');
    const invited = await streamB.heard('invited');
    streamB.say('openSession', { grant: invited.grant ?? {} });
    const openedB = await streamB.heard('sessionOpened');
    return { ...sessions, streamA, streamB, grant, openedA, openedB };
  }

  test('is the same for both sides, each with a place and a registration key of its own', async () => {
    const { carried, hub, openedA, openedB } = await opened();
    expect(openedA).toMatchObject({
      peerDeviceId: 'b',
      side: 0,
      udpAddresses: ['192.0.2.1:20000'],
    });
    expect(openedB).toMatchObject({
      peerDeviceId: 'a',
      side: 1,
      udpAddresses: ['192.0.2.1:20001'],
    });
    expect(openedA.sessionId).toBe(openedB.sessionId);
    expect(openedA.registrationKey).toHaveLength(32);
    expect(openedA.registrationKey.equals(openedB.registrationKey)).toBe(false);
    expect(carried.size).toBe(1);
    expect(hub.mayForward(a.wireguardPublicKey, b.wireguardPublicKey)).toBe(true);
    expect(hub.mayForward(b.wireguardPublicKey, a.wireguardPublicKey)).toBe(true);
    expect(hub.mayForward(a.wireguardPublicKey, c.wireguardPublicKey)).toBe(false);
  });

  test('that is revoked ends at once in both lanes, and both devices are told', async () => {
    const { carried, grant, hub, streamA, streamB } = await opened();
    hub.revoke([grant.grantId]);
    expect(carried.size).toBe(0);
    expect(hub.mayForward(a.wireguardPublicKey, b.wireguardPublicKey)).toBe(false);
    for (const stream of [streamA, streamB]) {
      expect((await stream.heard('sessionEnded')).reason).toBe(SessionEndReason.REVOKED);
    }
  });

  test('that was revoked is not opened again by the same grant', async () => {
    const { grant, hub, streamA } = await opened();
    hub.revoke([grant.grantId]);
    streamA.say('openSession', { grant: grant.signed });
    expect((await streamA.heard('sessionRefused')).reason).toBe('GRANT_REVOKED');
    expect(hub.counts.sessions).toBe(0);
  });

  test('of a device whose pass is revoked ends with it', async () => {
    const { carried, hub, followed, grant } = await opened();
    const [passOfA] = followed;
    hub.revoke([passOfA ?? '']);
    expect(carried.size).toBe(0);
    expect(followed.has(grant.grantId)).toBe(false);
  });

  test('lives on without its devices’ streams, ends with its grant, and lives longer with a newer one', async () => {
    const { clock, hub, streamA, streamB } = await opened();
    await streamB.close();
    expect(hub.counts.sessions).toBe(1);
    clock.advance(300_000);
    streamA.say('openSession', { grant: grantFor(clock, [a, b]).signed });
    await streamA.heard('sessionOpened', 2);
    clock.advance(300_000);
    hub.expire();
    expect(hub.counts.sessions).toBe(1);
    clock.advance(300_000);
    hub.expire();
    expect(hub.counts.sessions).toBe(0);
  });

  test('ends when both sides closed it', async () => {
    const { hub, openedA, streamA, streamB } = await opened();
    const { sessionId } = openedA;
    streamA.say('closeSession', { sessionId });
    streamA.say('openSession', {});
    await streamA.heard('sessionRefused');
    expect(hub.counts.sessions).toBe(1);
    streamB.say('closeSession', { sessionId });
    expect((await streamB.heard('sessionEnded')).reason).toBe(SessionEndReason.CLOSED);
    expect(hub.counts.sessions).toBe(0);
  });

  test('that the UDP lane gave up lives on in the TLS lane, and gets a new place when it is opened again', async () => {
    const { clock, hub, openedA, streamA } = await opened();
    clock.advance(200_000);
    expect(hub.carry(a.wireguardPublicKey, b.wireguardPublicKey, 100)).toBe('carried');
    hub.ended(openedA.sessionId, 'idle');
    expect(hub.counts.sessions).toBe(1);
    streamA.say('openSession', { grant: grantFor(clock, [a, b]).signed });
    expect((await streamA.heard('sessionOpened', 2)).udpAddresses).toEqual(['192.0.2.1:20000']);
    clock.advance(60_000);
    hub.ended(openedA.sessionId, 'idle');
    expect((await streamA.heard('sessionEnded')).reason).toBe(SessionEndReason.IDLE);
  });

  test('that only the TLS lane carries ends after five minutes without a packet', async () => {
    const { clock, hub, openedA, streamA } = await opened();
    hub.ended(openedA.sessionId, 'idle');
    clock.advance(200_000);
    expect(hub.carry(b.wireguardPublicKey, a.wireguardPublicKey, 100)).toBe('carried');
    clock.advance(299_999);
    hub.expire();
    expect(hub.counts.sessions).toBe(1);
    clock.advance(1);
    hub.expire();
    expect((await streamA.heard('sessionEnded')).reason).toBe(SessionEndReason.IDLE);
  });

  test('carries in the TLS lane what its rate and its quota let through, and nothing of other pairs', async () => {
    const session = { quotaBytes: 1_000_000, rateBytesPerSecond: 400_000 };
    const { attach, clock, hub, carried, streamA } = await opened({ session });
    const [keyA, keyB] = [a.wireguardPublicKey, b.wireguardPublicKey];
    expect([...carried.values()]).toMatchObject([session]);
    expect(hub.carry(keyA, c.wireguardPublicKey, 1)).toBe('refused');
    expect(hub.carry(keyA, keyB, 400_000)).toBe('carried');
    expect(hub.carry(keyA, keyB, 400_000)).toBe('limit');
    expect(hub.carry(keyB, keyA, 400_000)).toBe('carried');
    clock.advance(1_000);
    expect(hub.carry(keyA, keyB, 400_000)).toBe('carried');
    expect(hub.carry(keyA, keyB, 1)).toBe('refused');
    expect((await streamA.heard('sessionEnded')).reason).toBe(SessionEndReason.QUOTA);
    expect(hub.counts.sessions).toBe(0);
    streamA.say('openSession', { grant: grantFor(clock, [a, b]).signed });
    expect((await streamA.heard('sessionRefused')).reason).toBe('SESSION_QUOTA');
    clock.advance(599_000);
    hub.expire();
    const again = await attach(a);
    again.say('openSession', { grant: grantFor(clock, [a, b]).signed });
    await again.heard('sessionOpened');
  });

  test('is opened for devices of the grant only, with the keys that they attached with', async () => {
    const { attach, clock, hub } = startSessions();
    const stranger = await attach(c);
    stranger.say('openSession', { grant: grantFor(clock, [a, b]).signed });
    expect((await stranger.heard('sessionRefused')).reason).toBe('GRANT_INVALID');
    const other = { ...makeDevice('c'), deviceKey: c.deviceKey };
    stranger.say('openSession', { grant: grantFor(clock, [b, other]).signed });
    expect((await stranger.heard('sessionRefused', 2)).reason).toBe('GRANT_INVALID');
    const elsewhere = grantFor(clock, [b, c], { vpcId: 'another' });
    stranger.say('openSession', { grant: elsewhere.signed });
    expect((await stranger.heard('sessionRefused', 3)).reason).toBe('GRANT_INVALID');
    expect(hub.counts.sessions).toBe(0);
  });

  test('over the share of its organization is refused, and one without a place goes by the TLS lane', async () => {
    const { attach, clock, state } = startSessions({ sessionsPerTenant: 1 });
    state.hasRoom = false;
    const stream = await attach(a);
    stream.say('openSession', { grant: grantFor(clock, [a, b]).signed });
    expect((await stream.heard('sessionOpened')).udpAddresses).toEqual([]);
    stream.say('openSession', { grant: grantFor(clock, [a, c]).signed });
    expect((await stream.heard('sessionRefused')).reason).toBe('SESSION_QUOTA');
  });

  test('over the number of its devices is refused', async () => {
    const { attach, clock } = startSessions({ sessionsPerDevice: 1 });
    const [streamA, streamC] = [await attach(a), await attach(c)];
    streamA.say('openSession', { grant: grantFor(clock, [a, b]).signed });
    await streamA.heard('sessionOpened');
    streamC.say('openSession', { grant: grantFor(clock, [a, c]).signed });
    expect((await streamC.heard('sessionRefused')).reason).toBe('SESSION_QUOTA');
  });

  test('a flood of invitations does not end the stream of who is invited', async () => {
    const { attach, clock, hub } = startSessions();
    const [streamA, streamB] = [await attach(a), await attach(b)];
    const resume = streamB.pause();
    const invitation = { grant: grantFor(clock, [a, b]).signed, relayId: 'relay-2' };
    for (let round = 0; round < 100; round += 1) {
      for (let index = 0; index < 20; index += 1) streamA.say('invite', invitation);
      streamA.say('heartbeat', { ping: BigInt(round + 1) });
      await eventually(() =>
        expect(streamA.messages).toContainEqual({
          $case: 'heartbeat',
          value: { ping: BigInt(round + 1) },
        }),
      );
      clock.advance(1_000);
    }
    resume();
    await streamB.heard('invited', 512);
    expect(hub.counts.attachments).toBe(2);
  });

  test('what a pair carried counts for its next session', async () => {
    const session = { quotaBytes: 1_000_000, rateBytesPerSecond: Infinity };
    const { clock, hub, openedA, streamA, streamB } = await opened({ session });
    const keys = [a.wireguardPublicKey, b.wireguardPublicKey] as const;
    expect(hub.carry(...keys, 900_000)).toBe('carried');
    for (const stream of [streamA, streamB])
      stream.say('closeSession', { sessionId: openedA.sessionId });
    await streamA.heard('sessionEnded');
    streamA.say('openSession', { grant: grantFor(clock, [a, b]).signed });
    await streamA.heard('sessionOpened', 2);
    expect(hub.carry(...keys, 100_000)).toBe('carried');
    expect(hub.carry(...keys, 1)).toBe('refused');
  });

  test('an invitation reaches a peer that is attached here', async () => {
    const { attach, clock } = startSessions();
    const [streamA, streamB] = [await attach(a), await attach(b)];
    streamA.say('invite', { grant: grantFor(clock, [a, b]).signed, relayId: 'relay-2' });
    expect((await streamB.heard('invited')).relayId).toBe('relay-2');
  });

  test('a device that is heard from elsewhere is asked to register', async () => {
    const { hub, openedB, streamB } = await opened();
    hub.roamed(openedB.sessionId, 1);
    expect(await streamB.heard('registerNow')).toEqual({ sessionId: openedB.sessionId });
  });
});
