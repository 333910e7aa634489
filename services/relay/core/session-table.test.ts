import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Session, type SessionRequest, SessionTable } from './session-table.ts';

const form = {
  ports: { first: 20_000, last: 20_019 },
  sessions: Infinity,
  tenantShare: 0.5,
  sessionsPerDevice: 3,
  idleMs: 1_000,
};
const request = (id: number, change: Partial<SessionRequest> = {}): SessionRequest => ({
  id: BigInt(id),
  tenant: `tenant ${id}`,
  devices: [`a${id}`, `b${id}`],
  quotaBytes: Infinity,
  rateBytesPerSecond: Infinity,
  notAfterMs: 60_000,
  ...change,
});
const opened = (table: SessionTable, change: Partial<SessionRequest> = {}): Session => {
  const session = table.open(request(1, change), 0);
  if (typeof session === 'string') throw new Error(session);
  return session;
};
const carry = (table: SessionTable, session: Session, bytes: number, nowMs = 0) =>
  table.carry(session, 0, { bytes, nowMs });

test('ports divided by two is the capacity, and then there is no more', () => {
  const table = new SessionTable(form);
  expect(table.capacity).toBe(10);
  const ports = Array.from({ length: 10 }, (_unused, id) => table.open(request(id), 0));
  expect(new Set(ports.flatMap((one) => (typeof one === 'string' ? [] : one.ports))).size).toBe(20);
  expect(table.open(request(10), 0)).toBe('ports');
  table.close(3n);
  expect(table.open(request(10), 0)).toMatchObject({ id: 10n });
});

test('where fewer sessions than ports are allowed, that is the capacity', () => {
  const table = new SessionTable({ ...form, sessions: 2 });
  expect(table.capacity).toBe(2);
  expect([table.open(request(1), 0), table.open(request(2), 0)]).not.toContain('ports');
  expect(table.open(request(3), 0)).toBe('ports');
});

test('a port is used again after all others', () => {
  const table = new SessionTable(form);
  const first = opened(table).ports;
  table.close(1n);
  for (let id = 2; id < 11; id += 1) {
    expect(table.open(request(id), 0)).not.toMatchObject({ ports: first });
    table.close(BigInt(id));
  }
  expect(table.open(request(11), 0)).toMatchObject({ ports: first });
});

test('one tenant has its share, one device its number', () => {
  const table = new SessionTable(form);
  const tenant = 'one';
  for (let id = 0; id < 5; id += 1)
    expect(table.open(request(id, { tenant }), 0)).toBeTypeOf('object');
  expect(table.open(request(5, { tenant }), 0)).toBe('tenant');
  expect(table.open(request(6), 0)).toBeTypeOf('object');
  table.close(0n);
  expect(table.open(request(5, { tenant }), 0)).toBeTypeOf('object');
  const others = new SessionTable(form);
  for (let id = 0; id < 3; id += 1) others.open(request(id, { devices: ['hub', `leaf ${id}`] }), 0);
  expect(others.open(request(3, { devices: ['leaf', 'hub'] }), 0)).toBe('device');
});

test('opening again renews the limits and keeps ports and counters', () => {
  const table = new SessionTable(form);
  const session = opened(table, { notAfterMs: 10 });
  carry(table, session, 100);
  expect(opened(table, { notAfterMs: 20 })).toBe(session);
  expect(table.over(15)).toEqual([]);
  expect(table.over(20)).toMatchObject([{ reason: 'expired' }]);
  expect(session.carriedBytes).toEqual([100, 0]);
  expect(table.size).toBe(1);
});

test('draining takes nobody new and renews who is there', () => {
  const table = new SessionTable(form);
  opened(table);
  table.drain();
  expect(table.open(request(2), 0)).toBe('draining');
  expect(table.open(request(1), 0)).toMatchObject({ id: 1n });
});

test('a session that nobody is heard in ends, and any byte keeps it', () => {
  const table = new SessionTable(form);
  const session = opened(table);
  carry(table, session, 1, 500);
  expect(table.over(1_499)).toEqual([]);
  expect(table.over(1_500)).toMatchObject([{ session, reason: 'idle' }]);
  table.heard(session, 1_500);
  expect(table.over(2_499)).toEqual([]);
});

test('a quota counts both directions, and what was carried elsewhere', () => {
  const table = new SessionTable(form);
  const session = opened(table, { quotaBytes: 300 });
  carry(table, session, 100);
  table.carried(session, 1, { bytes: 199, nowMs: 0 });
  expect(table.isSpent(session)).toBe(false);
  carry(table, session, 1);
  expect(table.over(0)).toMatchObject([{ reason: 'quota' }]);
});

test('a rate is held on average in each direction, after a burst', () => {
  const table = new SessionTable(form);
  const session = opened(table, { rateBytesPerSecond: 1_000_000 });
  const passed = Array.from({ length: 1_500 }, () => carry(table, session, 1_000)).filter(Boolean);
  expect(passed).toHaveLength(1_000);
  expect(carry(table, session, 1_000, 1)).toBe(true);
  expect(carry(table, session, 1_000, 1)).toBe(false);
  expect(table.carry(session, 1, { bytes: 1_000, nowMs: 1 })).toBe(true);
});

test('ports that the system refuses are replaced', () => {
  const table = new SessionTable(form);
  const before = opened(table).ports;
  expect(table.replacePorts(1n)?.ports).not.toEqual(before);
  expect(table.replacePorts(2n)).toBeUndefined();
  expect(table.size).toBe(1);
});

test('whatever is opened and closed, no port is in two sessions and no count is lost', () => {
  const step = fc.record({
    isOpen: fc.boolean(),
    id: fc.nat({ max: 15 }),
    tenant: fc.nat({ max: 2 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const table = new SessionTable(form);
      for (const { isOpen, id, tenant } of steps) {
        if (isOpen) table.open(request(id, { tenant: String(tenant) }), 0);
        else table.close(BigInt(id));
        const sessions = [...table.values()];
        const ports = sessions.flatMap((session) => session.ports);
        expect(new Set(ports).size).toBe(ports.length);
        for (const one of ['0', '1', '2']) {
          expect(sessions.filter((session) => session.tenant === one).length).toBeLessThanOrEqual(
            5,
          );
        }
      }
      for (let id = 0; id < 16; id += 1) table.close(BigInt(id));
      for (let id = 0; id < 10; id += 1) expect(table.open(request(id), 0)).toBeTypeOf('object');
    }),
  );
});
