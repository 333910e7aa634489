import { randomBytes, randomUUID } from 'node:crypto';
import type { ResourceChange } from '@nexodus/contracts/event';
import { PeerBinding } from '@nexodus/contracts/type';
import type { Database } from '@nexodus/database';
import type { Knex } from 'knex';
import {
  type ChangeLog,
  deviceImage,
  type DeviceImageRow,
  type SecurityGroupRow,
  securityGroupImage,
  vpcImage,
} from '../database/change-log.ts';

/** Writes a VPC's rows and changes as the handlers of the public API do, by plain statements. */
export class TestVpc {
  readonly id = randomUUID();
  readonly groupId = randomUUID();
  readonly #database: Database;
  readonly #log: ChangeLog;
  #addresses = 0;

  constructor(database: Database, log: ChangeLog) {
    this.#database = database;
    this.#log = log;
  }

  async create(): Promise<this> {
    const organizationId = randomUUID();
    const name = `o-${organizationId}`;
    const ula = `fd${organizationId.slice(0, 2)}:${organizationId.slice(2, 6)}:${organizationId.slice(9, 13)}::/48`;
    const rules = {
      inbound: [{ securityGroupId: this.groupId }],
      outbound: [{ addressRange: '0.0.0.0/0' }, { addressRange: '::/0' }],
    };
    await this.#database.transaction(async (transaction) => {
      const { knex } = transaction;
      await knex('organizations').insert({ id: organizationId, name, ula_prefix: ula });
      await knex('vpcs').insert({
        id: this.id,
        organization_id: organizationId,
        name: 'default',
        description: '',
        ipv4_prefix: '100.64.0.0/10',
        ipv6_prefix: ula.replace('/48', '/64'),
        is_default: true,
      });
      const [group] = await knex<SecurityGroupRow & { vpc_id: string; name: string }>(
        'security_groups',
      )
        .insert({ id: this.groupId, vpc_id: this.id, name: 'default', is_default: true, rules })
        .returning('*');
      if (group === undefined) throw new Error('the group was not inserted');
      await this.#log.append(transaction, this.id, [
        { before: undefined, after: vpcImage({ id: this.id, organizationId, name: 'default' }) },
        { before: undefined, after: securityGroupImage(group) },
      ]);
    });
    return this;
  }

  /** Enrols a device with a binding, in the default group; its id. */
  async addDevice(
    hostname: string,
    { lifeMs = 3_600_000, isGrouped = true }: { lifeMs?: number; isGrouped?: boolean } = {},
  ): Promise<string> {
    const id = randomUUID();
    const index = (this.#addresses += 1);
    const keys = [randomBytes(32), randomBytes(32), randomBytes(32)];
    await this.#database.transaction(async (transaction) => {
      const { knex } = transaction;
      const { organization_id } = await knex('vpcs')
        .where({ id: this.id })
        .first('organization_id');
      const [row] = await knex('devices')
        .insert({
          id,
          organization_id,
          vpc_id: this.id,
          hostname,
          os: 'linux',
          device_public_key: keys[0],
          wireguard_public_key: keys[1],
          disco_public_key: keys[2],
          ipv4_address: `100.64.0.${index}`,
          ipv6_address: `fd00::${index}`,
          tags: [],
          ephemeral: false,
          binding: Buffer.from(this.#binding(id, 1n)),
          binding_serial: 1n,
          expires_at: expiryAfter(lifeMs),
        })
        .returning('*');
      const groups = isGrouped ? [this.groupId] : [];
      for (const security_group_id of groups) {
        await knex('device_security_groups').insert({
          vpc_id: this.id,
          device_id: id,
          security_group_id,
        });
      }
      await this.#log.append(transaction, this.id, [
        { before: undefined, after: deviceImage(row, groups) },
      ]);
    });
    return id;
  }

  /** Publishes another binding of a device; the revision. */
  rebind(id: string, serial: bigint): Promise<bigint> {
    const binding = Buffer.from(this.#binding(id, serial));
    return this.#change(id, (knex) =>
      knex('devices').where({ id }).update({ binding, binding_serial: serial }),
    );
  }

  /** Moves the end of a device's life; the revision. */
  renew(id: string, lifeMs: number): Promise<bigint> {
    return this.#change(id, (knex) =>
      knex('devices')
        .where({ id })
        .update({ expires_at: expiryAfter(lifeMs) }),
    );
  }

  /** Deletes a device; the revision. */
  deleteDevice(id: string): Promise<bigint> {
    return this.#change(id, (knex) => knex('devices').where({ id }).delete());
  }

  /** Deletes the VPC, which has no devices any more. */
  async delete(): Promise<void> {
    await this.#database.knex('vpcs').where({ id: this.id }).delete();
  }

  /** What a restore from an old backup leaves: the log ends `back` revisions earlier, in a new incarnation. */
  async restore(back: bigint): Promise<void> {
    const { knex } = this.#database;
    const { revision } = await knex('vpcs').where({ id: this.id }).first('revision');
    await knex<{ vpc_id: string; revision: bigint }>('vpc_changes')
      .where({ vpc_id: this.id })
      .where('revision', '>', revision - back)
      .delete();
    await knex('vpcs')
      .where({ id: this.id })
      .update({ revision: revision - back, log_incarnation: randomUUID() });
  }

  async head(): Promise<bigint> {
    const { revision } = await this.#database.knex('vpcs').where({ id: this.id }).first('revision');
    return revision;
  }

  #change(id: string, apply: (knex: Knex, id: string) => PromiseLike<unknown>): Promise<bigint> {
    return this.#database.transaction(async (transaction) => {
      const { knex } = transaction;
      const before = await this.#image(knex, id);
      await apply(knex, id);
      const changes: ResourceChange[] = [{ before, after: await this.#image(knex, id) }];
      return this.#log.append(transaction, this.id, changes);
    });
  }

  async #image(knex: Knex, id: string) {
    const row = await knex<DeviceImageRow>('devices').where({ id }).first();
    const groups = await knex('device_security_groups').where({ device_id: id });
    return (
      row &&
      deviceImage(
        row,
        groups.map(({ security_group_id }) => security_group_id),
      )
    );
  }

  #binding(deviceId: string, serial: bigint): Uint8Array {
    return PeerBinding.encode({
      deviceId,
      vpcId: this.id,
      wireguardPublicKey: randomBytes(32),
      discoPublicKey: randomBytes(32),
      serial,
      notAfter: 4_000_000_000n,
      signature: Buffer.alloc(64),
    }).finish();
  }
}

/** Whole seconds, as the log keeps them. */
function expiryAfter(lifeMs: number): Date {
  return new Date(Math.floor((Date.now() + lifeMs) / 1_000) * 1_000);
}
