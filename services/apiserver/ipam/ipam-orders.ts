import {
  ConfirmAddressesRequest,
  CreatePoolRequest,
  DeletePoolRequest,
  type IpamServiceDefinition,
  ReleaseAddressesRequest,
  ReserveAddressesRequest,
} from '@nexodus/contracts/ipam';
import type { Database } from '@nexodus/database';
import { isRpcError, type RpcClient, Status } from '@nexodus/rpc';

/** ipam as the apiserver calls it. */
export type IpamClient = RpcClient<typeof IpamServiceDefinition>;

/** Something to say to ipam. */
export type IpamOrder =
  | { kind: 'create-pool'; poolId: string; ipv4Prefix: string; ipv6Prefix: string }
  | { kind: 'delete-pool'; poolId: string }
  | { kind: 'confirm'; poolId: string; ownerId: string; ipv4Address: string; ipv6Address: string }
  | { kind: 'release'; poolId: string; ownerId: string };

/** An order as the outbox keeps it. */
export function encodeOrder(order: IpamOrder): Uint8Array {
  switch (order.kind) {
    case 'create-pool':
      return CreatePoolRequest.encode(order).finish();
    case 'delete-pool':
      return DeletePoolRequest.encode(order).finish();
    case 'confirm':
      return ReserveAddressesRequest.encode({ ...order, lease: undefined }).finish();
    case 'release':
      return ReleaseAddressesRequest.encode(order).finish();
  }
}

/** What saying an order works with. */
interface Conversation {
  database: Database;
  ipam: IpamClient;
}

/**
 * Says an order.
 *
 * @param isOwn whether the order is still the caller's to say, and not one that somebody else has said since
 * @throws {RpcError} of ipam
 */
export async function sayOrder(
  conversation: Conversation,
  order: { kind: IpamOrder['kind']; request: Uint8Array },
  isOwn: () => Promise<boolean>,
): Promise<void> {
  const { ipam } = conversation;
  switch (order.kind) {
    case 'create-pool':
      await ipam.createPool(CreatePoolRequest.decode(order.request));
      return;
    case 'delete-pool':
      await ipam.deletePool(DeletePoolRequest.decode(order.request));
      return;
    case 'confirm':
      await confirm(conversation, ReserveAddressesRequest.decode(order.request), isOwn);
      return;
    case 'release':
      await ipam.releaseAddresses(ReleaseAddressesRequest.decode(order.request));
  }
}

/**
 * Confirms; when the lease has ended, reserves the very same addresses again first. Said so late that the device was
 * deleted and its addresses released meanwhile, it takes back what it did: nobody would release them again.
 */
async function confirm(
  { database, ipam }: Conversation,
  reservation: ReserveAddressesRequest,
  isOwn: () => Promise<boolean>,
): Promise<void> {
  const wanted = ConfirmAddressesRequest.fromPartial(reservation);
  try {
    await ipam.confirmAddresses(wanted);
  } catch (error) {
    if (!isRpcError(error, Status.FAILED_PRECONDITION)) throw error;
    if (!(await isOwn())) return;
    await ipam.reserveAddresses(reservation);
    await ipam.confirmAddresses(wanted);
  }
  const device = await database.knex('devices').where({ id: wanted.ownerId }).first('id');
  if (device === undefined) await ipam.releaseAddresses(wanted);
}
