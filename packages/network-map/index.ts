export { ViewDigest } from './view-digest.ts';
export {
  decodeEntry,
  encodePeerEntry,
  encodeSelfEntry,
  peerKey,
  removalOf,
  selfKey,
} from './view-entry.ts';
export type { DecodedEntry } from './view-entry.ts';
export { decodeView } from './decode-view.ts';
export type { DecodedView } from './decode-view.ts';
export { ViewGap, applyBookmark, applyInterval } from './view.ts';
export type { View, ViewGapReason } from './view.ts';
