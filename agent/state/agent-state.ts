/**
 * What the agent keeps besides its keys, as data and as the JSON text that is sealed on disk.
 *
 * Three files, by what their loss means: the enrolment, without which the device must join again; the pins, without
 * which a known device's keys could be exchanged unnoticed; the view, which the service gives anew.
 */
import { type Endpoint, EndpointKind } from '@nexodus/contracts/type';
import { type BindingPin, parseDevicePublicKey } from '@nexodus/device-identity';
import { type View, ViewDigest } from '@nexodus/network-map';
import { z } from 'zod';
import type { LeaseRecord } from '../core/lease.ts';
import type { OwnBinding } from '../core/own-binding.ts';

/** Who the device is at the service. */
export interface Enrolment {
  /** Origin of the service, as dialled. */
  readonly serviceUrl: string;
  /** CA of the service; absent where the system's are used. */
  readonly caPem?: string;
  readonly deviceId: string;
  readonly organizationId: string;
  readonly vpcId: string;
  readonly vpcName: string;
  readonly hostname: string;
  readonly ipv4Address: string;
  readonly ipv6Address: string;
  /** End of the device key's life, milliseconds since 1970. */
  readonly expireAtMs: number;
  /** The newest binding that the device signed. */
  readonly binding?: OwnBinding;
}

/** The last view, how long it may be used, and where its peers were reached. */
export interface KeptView {
  readonly view?: View;
  readonly lease?: LeaseRecord;
  /** Endpoints that peers announced last, by device id. */
  readonly endpoints?: ReadonlyMap<string, readonly Endpoint[]>;
}

/** Pins by device id. */
export type Pins = ReadonlyMap<string, BindingPin>;

/** A value and the bytes that are sealed for it. */
export interface StateCodec<T> {
  encode(value: T): Uint8Array;
  /** @throws for bytes that `encode` did not make */
  decode(bytes: Uint8Array): T;
}

const bytesField = z.codec(z.base64(), z.custom<Uint8Array>(), {
  decode: (text) => new Uint8Array(Buffer.from(text, 'base64')),
  encode: (bytes) => Buffer.from(bytes).toString('base64'),
});
const bigintField = z.codec(z.string().regex(/^\d{1,20}$/), z.bigint(), {
  decode: (text) => BigInt(text),
  encode: (value) => value.toString(),
});
const deviceKeyField = z.codec(z.base64(), z.custom<BindingPin['deviceKey']>(), {
  decode: (text) => parseDevicePublicKey(new Uint8Array(Buffer.from(text, 'base64'))),
  encode: (key) => Buffer.from(key).toString('base64'),
});

const enrolmentSchema = z.strictObject({
  serviceUrl: z.string(),
  caPem: z.string().optional(),
  deviceId: z.string(),
  organizationId: z.string(),
  vpcId: z.string(),
  vpcName: z.string(),
  hostname: z.string(),
  ipv4Address: z.string(),
  ipv6Address: z.string(),
  expireAtMs: z.number(),
  binding: z
    .strictObject({
      vpcId: z.string(),
      serial: bigintField,
      notAfterSeconds: z.number().int(),
    })
    .optional(),
});

const pinsSchema = z.array(
  z.strictObject({
    deviceId: z.string(),
    deviceKey: deviceKeyField,
    serial: bigintField,
    contentHash: z.string(),
  }),
);

const endpointKinds: readonly unknown[] = Object.values(EndpointKind);
const endpointKind = z.custom<EndpointKind>((kind) => endpointKinds.includes(kind));

const viewSchema = z.strictObject({
  view: z
    .strictObject({
      vpcId: z.string(),
      logIncarnation: z.string(),
      revision: bigintField,
      entries: z.array(z.tuple([z.string(), bytesField])),
    })
    .optional(),
  lease: z
    .strictObject({
      highestServerTimeMs: z.number(),
      durationMs: z.number().nonnegative(),
      elapsedMs: z.number().nonnegative(),
    })
    .optional(),
  endpoints: z
    .array(
      z.tuple([z.string(), z.array(z.strictObject({ address: z.string(), kind: endpointKind }))]),
    )
    .optional(),
});

/** Codec of the enrolment. */
export const enrolmentCodec: StateCodec<Enrolment> = jsonCodec(enrolmentSchema);

const pinList = jsonCodec(pinsSchema);

/** Codec of the pins. */
export const pinsCodec: StateCodec<Pins> = {
  encode: (pins) => pinList.encode([...pins.values()]),
  decode: (bytes) => new Map(pinList.decode(bytes).map((pin) => [pin.deviceId, pin])),
};

const viewRecord = jsonCodec(viewSchema);

/** Codec of the view. */
export const viewCodec: StateCodec<KeptView> = {
  encode: ({ view, lease, endpoints }) =>
    viewRecord.encode({
      view: view === undefined ? undefined : recordOf(view),
      lease,
      endpoints: [...(endpoints ?? [])].map(([deviceId, known]) => [deviceId, [...known]]),
    }),
  decode: (bytes) => {
    const { view, lease, endpoints } = viewRecord.decode(bytes);
    const rest = { lease, endpoints: endpoints === undefined ? undefined : new Map(endpoints) };
    if (view === undefined) return rest;
    const entries = new Map(view.entries);
    return { ...rest, view: { ...view, entries, digest: ViewDigest.of(entries) } };
  },
};

function recordOf({ vpcId, logIncarnation, revision, entries }: View) {
  return { vpcId, logIncarnation, revision, entries: [...entries] };
}

function jsonCodec<S extends z.ZodType>(schema: S): StateCodec<z.output<S>> {
  return {
    encode: (value) => new Uint8Array(Buffer.from(JSON.stringify(z.encode(schema, value)))),
    decode: (bytes) => z.decode(schema, JSON.parse(Buffer.from(bytes).toString('utf8'))),
  };
}
