import type { PrincipalKind, Resource, RoleGrant } from '@nexodus/contracts/policy';

/** A question whether somebody may do something. */
export interface AuthorizationQuestion {
  readonly principal: {
    readonly kind: PrincipalKind;
    /** Empty for an anonymous caller, who may do nothing. */
    readonly id: string;
    readonly grants: readonly RoleGrant[];
  };
  /** Name of a right, such as "device.delete". */
  readonly action: string;
  readonly resource: Readonly<Resource>;
}

/** The answer to a question. */
export interface AuthorizationDecision {
  readonly isAllowed: boolean;
  /** Whether the principal may know that the resource exists. Always so where it is allowed something. */
  readonly isVisible: boolean;
  /** Ids of the policies that decided. */
  readonly policyIds: readonly string[];
}

/** Decides. The same question has the same answer; nothing of one question is left for the next. */
export interface Authorizer {
  /**
   * Answers a question.
   *
   * @throws {UnknownRightError} for a right that does not exist, or that does not exist on that kind of resource
   */
  decide(question: AuthorizationQuestion): AuthorizationDecision;
}

/** A question about a right or a kind of resource that does not exist. */
export class UnknownRightError extends Error {
  override readonly name = 'UnknownRightError';
  /** Which part of the question is at fault: a field of AuthorizeRequest. */
  readonly field: 'action' | 'resource.kind';

  /** @param message fit for the caller */
  constructor(field: UnknownRightError['field'], message: string) {
    super(message);
    this.field = field;
  }
}
