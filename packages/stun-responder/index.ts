export type { ReplyRoutes, StunEndpoint } from './reply-routes.ts';
export { createReplyRoutes } from './reply-routes.ts';
export { SourceLimiter, sourceLimiterBytes } from './source-limiter.ts';
export type { SourceLimit } from './source-limiter.ts';
export { StunResponder } from './stun-responder.ts';
export type { ReceivedDatagrams } from './stun-responder.ts';
export { VERDICTS } from './verdict.ts';
export type { Verdict } from './verdict.ts';
