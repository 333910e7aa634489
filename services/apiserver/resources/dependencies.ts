import type { Clock } from '@nexodus/clock';
import type { Database } from '@nexodus/database';
import type { ChangeLog } from '../database/change-log.ts';
import type { AuditLog } from '../identity/audit-log.ts';
import type { Authorizer } from '../identity/authorizer.ts';
import type { IpamOutbox } from '../ipam/ipam-outbox.ts';

/** What the handlers of resources work with. */
export interface ResourceDependencies {
  database: Database;
  changeLog: ChangeLog;
  authorizer: Authorizer;
  audit: AuditLog;
  ipamOutbox: IpamOutbox;
  clock: Clock;
  /** Fresh random bytes. */
  randomBytes: (size: number) => Uint8Array;
}
