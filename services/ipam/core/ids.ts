declare const idBrand: unique symbol;

/** Id of a pool: the id of its VPC, a UUID in lower case. */
export type PoolId = string & { readonly [idBrand]: 'pool' };

/** Id of who holds addresses: a device id, a UUID in lower case. */
export type OwnerId = string & { readonly [idBrand]: 'owner' };

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The id in a text; undefined when it is no canonical UUID (RFC 9562 section 4). */
export function parsePoolId(text: string): PoolId | undefined {
  return uuid.test(text) ? (text as PoolId) : undefined; // brand constructor
}

/** The id in a text; undefined when it is no canonical UUID (RFC 9562 section 4). */
export function parseOwnerId(text: string): OwnerId | undefined {
  return uuid.test(text) ? (text as OwnerId) : undefined; // brand constructor
}
