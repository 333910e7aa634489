import type { CompileResponse } from '@nexodus/contracts/policy';

/** The pieces of an answer of policy as one. Rejects, with nothing of it, when the stream ends with an error. */
export async function wholeAnswer(
  pieces: AsyncIterable<CompileResponse>,
): Promise<CompileResponse> {
  const shown: CompileResponse['shown'][] = [];
  const hidden: CompileResponse['hidden'][] = [];
  for await (const piece of pieces) {
    shown.push(piece.shown);
    hidden.push(piece.hidden);
  }
  return { shown: shown.flat(), hidden: hidden.flat() };
}
