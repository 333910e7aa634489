/**
 * Decisions by Cedar (https://docs.cedarpolicy.com): policies are files, checked against a schema when the service starts;
 * callers and resources are data, and never become part of a policy's text.
 */
import { createHash } from 'node:crypto';
import {
  type EntityJson,
  policySetTextToParts,
  policyToJson,
  preparsePolicySet,
  preparseSchema,
  schemaToJson,
  statefulIsAuthorized,
  type TypeAndId,
  validate,
} from '@cedar-policy/cedar-wasm/nodejs';
import { PrincipalKind } from '@nexodus/contracts/policy';
import {
  type AuthorizationDecision,
  type AuthorizationQuestion,
  type Authorizer,
  UnknownRightError,
} from './authorizer.ts';
import type { PolicyTexts } from './policy-files.ts';

/** Kinds of resources as callers name them, and as the schema does. */
const resourceTypes: ReadonlyMap<string, string> = new Map([
  ['organization', 'Resource::Organization'],
  ['vpc', 'Resource::Vpc'],
  ['device', 'Resource::Device'],
  ['registration-key', 'Resource::RegistrationKey'],
  ['service-account', 'Resource::ServiceAccount'],
  ['user', 'Resource::User'],
]);

const principalTypes: ReadonlyMap<PrincipalKind, string> = new Map([
  [PrincipalKind.USER, 'Caller::User'],
  [PrincipalKind.SERVICE_ACCOUNT, 'Caller::ServiceAccount'],
  [PrincipalKind.DEVICE, 'Caller::Device'],
]);

/** Prefix of the actions that are not rights. */
const internalPrefix = 'internal.';
const seeing = 'internal.see';

const nothing: AuthorizationDecision = { isAllowed: false, isVisible: false, policyIds: [] };

/** On which principals and resources each right exists. */
type Rights = ReadonlyMap<
  string,
  { readonly principals: ReadonlySet<string>; readonly resources: ReadonlySet<string> }
>;

/** Policies that cannot be used. One line for each problem. */
export class InvalidPolicyError extends Error {
  override readonly name = 'InvalidPolicyError';

  constructor(problems: readonly string[]) {
    super(`the policies cannot be used:\n${problems.join('\n')}`);
  }
}

/**
 * Checks the policies against their schema and makes an authorizer of them.
 *
 * @throws {InvalidPolicyError} when any of them does not parse or validate, or has no id of its own
 */
export function createCedarAuthorizer(texts: PolicyTexts): Authorizer {
  const policies = policiesById(texts);
  const rights = rightsOf(texts.schema);
  const validation = validate({ schema: texts.schema, policies: { staticPolicies: policies } });
  if (validation.type === 'failure') throw new InvalidPolicyError(messages(validation.errors));
  const problems = [...validation.validationErrors, ...validation.validationWarnings].map(
    ({ policyId, error }) => `${policyId}: ${error.message}`,
  );
  if (problems.length > 0) throw new InvalidPolicyError(problems);
  const key = createHash('sha256')
    .update(JSON.stringify([texts.schema, policies]))
    .digest('hex');
  requireParsed(preparseSchema(key, texts.schema));
  requireParsed(preparsePolicySet(key, { staticPolicies: policies }));
  return { decide: (question) => decide(key, rights, question) };
}

function decide(
  key: string,
  rights: Rights,
  question: AuthorizationQuestion,
): AuthorizationDecision {
  const { principal, action, resource } = question;
  const right = action.startsWith(internalPrefix) ? undefined : rights.get(action);
  if (right === undefined) throw new UnknownRightError('action', 'there is no such right');
  const resourceType = resourceTypes.get(resource.kind);
  if (resourceType === undefined) {
    throw new UnknownRightError('resource.kind', 'there is no such kind of resource');
  }
  if (!right.resources.has(resourceType)) {
    throw new UnknownRightError('resource.kind', 'the right does not exist on this kind');
  }
  const principalType = principalTypes.get(principal.kind);
  if (principalType === undefined || principal.id === '') return nothing;
  const ask = (name: string): readonly string[] =>
    permittingPolicies(key, name, {
      principal: principalEntity(principalType, question),
      resource: resourceEntity(resourceType, question),
    });
  const permitting = right.principals.has(principalType) ? ask(action) : [];
  if (permitting.length > 0) return { isAllowed: true, isVisible: true, policyIds: permitting };
  const seen = ask(seeing);
  return { isAllowed: false, isVisible: seen.length > 0, policyIds: seen };
}

/** Ids of the policies that permit; none where it is denied. */
function permittingPolicies(
  key: string,
  action: string,
  entities: { principal: Entity; resource: Entity },
): readonly string[] {
  const { principal, resource } = entities;
  const answer = statefulIsAuthorized({
    principal: principal.uid,
    action: { type: 'Action', id: action },
    resource: resource.uid,
    context: {},
    preparsedSchemaName: key,
    preparsedPolicySetId: key,
    validateRequest: true,
    entities: [principal, resource],
  });
  if (answer.type === 'failure') {
    throw new Error(`Cedar refused a request: ${messages(answer.errors).join('; ')}`);
  }
  const { decision, diagnostics } = answer.response;
  if (diagnostics.errors.length > 0) {
    const errors = diagnostics.errors.map(({ policyId, error }) => `${policyId}: ${error.message}`);
    throw new Error(`a policy failed: ${errors.join('; ')}`);
  }
  return decision === 'allow' ? diagnostics.reason : [];
}

type Entity = EntityJson & { readonly uid: TypeAndId };

function principalEntity(type: string, { principal }: AuthorizationQuestion): Entity {
  const uid = { type, id: principal.id };
  if (type === 'Caller::Device') return { uid, attrs: {}, parents: [] };
  const organizationsAs = (role: string): { __entity: TypeAndId }[] =>
    principal.grants
      .filter((grant) => grant.role === role && grant.organizationId !== '')
      .map((grant) => reference('Resource::Organization', grant.organizationId));
  const attrs = {
    adminOf: organizationsAs('admin'),
    memberOf: organizationsAs('member'),
    auditorOf: organizationsAs('auditor'),
  };
  if (type === 'Caller::ServiceAccount') return { uid, attrs, parents: [] };
  return { uid, attrs: { ...attrs, ownerOf: organizationsAs('owner') }, parents: [] };
}

function resourceEntity(type: string, { resource }: AuthorizationQuestion): Entity {
  const uid = { type, id: resource.id };
  const { organizationId, ownerUserId } = resource;
  const organization = {
    organization: reference('Resource::Organization', organizationId),
  };
  const attrs = {
    ...(organizationId === '' ? {} : organization),
    ...(type === 'Resource::Organization' && {
      organization: reference('Resource::Organization', resource.id || organizationId),
    }),
    ...(type === 'Resource::Device' && {
      caller: reference('Caller::Device', resource.id),
      ...(ownerUserId !== '' && { owner: reference('Caller::User', ownerUserId) }),
    }),
    ...(type === 'Resource::User' && { caller: reference('Caller::User', resource.id) }),
  };
  return { uid, attrs, parents: [] };
}

function reference(type: string, id: string): { __entity: TypeAndId } {
  return { __entity: { type, id } };
}

/** Every policy under the id that its annotation gives it, so that the audit log names it for good. */
function policiesById({ policies }: PolicyTexts): Record<string, string> {
  const byId: Record<string, string> = {};
  const problems: string[] = [];
  for (const [file, text] of Object.entries(policies)) {
    const parts = policySetTextToParts(text);
    if (parts.type === 'failure') {
      problems.push(...messages(parts.errors).map((message) => `${file}: ${message}`));
      continue;
    }
    if (parts.policy_templates.length > 0) problems.push(`${file}: templates are not used`);
    for (const policy of parts.policies) {
      const id = annotatedId(policy);
      if (id === undefined) problems.push(`${file}: a policy has no @id`);
      else if (Object.hasOwn(byId, id)) problems.push(`${file}: ${id} is there twice`);
      else byId[id] = policy;
    }
  }
  if (problems.length > 0) throw new InvalidPolicyError(problems);
  return byId;
}

function annotatedId(policy: string): string | undefined {
  const answer = policyToJson(policy);
  return answer.type === 'success' ? answer.json.annotations?.id : undefined;
}

function rightsOf(schema: string): Rights {
  const answer = schemaToJson(schema);
  if (answer.type === 'failure') throw new InvalidPolicyError(messages(answer.errors));
  const actions = Object.entries(answer.json['']?.actions ?? {});
  return new Map(
    actions.flatMap(([name, { appliesTo }]) =>
      appliesTo === undefined
        ? []
        : [
            [
              name,
              {
                principals: new Set(appliesTo.principalTypes),
                resources: new Set(appliesTo.resourceTypes),
              },
            ] as const,
          ],
    ),
  );
}

function requireParsed(answer: ReturnType<typeof preparseSchema>): void {
  if (answer.type === 'failure') throw new InvalidPolicyError(messages(answer.errors));
}

function messages(errors: readonly { message: string; help: string | null }[]): string[] {
  return errors.map(({ message, help }) => (help === null ? message : `${message} (${help})`));
}
