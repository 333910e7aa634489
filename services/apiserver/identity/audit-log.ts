import type { Database, Transaction } from '@nexodus/database';
import { trace } from '@opentelemetry/api';
import { isUuid } from '../core/uuid.ts';
import { type Caller, callerId } from './caller.ts';

/** Longest part of a name that is kept, in characters: what a caller asks for is of any length. */
const longestName = 100;

/** What was done, or refused. */
export interface AuditedAct {
  /** The right, such as "vpc.create". */
  action: string;
  /** Kind of the resource. */
  kind: string;
  /** Id of the resource; empty where none came to be. */
  id: string;
  /** Organization that the act belongs to; undefined for none. */
  organizationId?: string;
}

/** Who acts: a caller, or the holder of a registration key, named by the key's public prefix. */
export type Actor = Caller | { kind: 'registration_key'; id: string; source: string };

/** Append-only record of acts. */
export interface AuditLog {
  /** Records an act in the transaction that does it. */
  done(transaction: Transaction, actor: Actor, act: AuditedAct): Promise<void>;
  /** Records a refusal of an authenticated caller. */
  refused(caller: Caller, act: AuditedAct): Promise<void>;
}

/** The log on the apiserver's schema. */
export function createAuditLog(database: Database): AuditLog {
  return {
    done: async ({ knex }, actor, act) => {
      await knex('audit_records').insert(recordOf(actor, act, 'done'));
    },
    refused: async (caller, act) => {
      if (caller.kind === 'anonymous') return;
      await database.knex('audit_records').insert(recordOf(caller, act, 'refused'));
    },
  };
}

function recordOf(
  actor: Actor,
  act: AuditedAct,
  outcome: 'done' | 'refused',
): Record<string, unknown> {
  return {
    // A refusal may name an organization that does not exist; only a well-formed id can be stored.
    organization_id: isUuid(act.organizationId) ? act.organizationId : null,
    actor_kind: actor.kind,
    actor_id: actor.kind === 'registration_key' ? actor.id : callerId(actor),
    action: act.action,
    resource_kind: act.kind,
    resource_id: act.id.slice(0, longestName),
    outcome,
    source: actor.source,
    trace_id: trace.getActiveSpan()?.spanContext().traceId ?? '',
  };
}
