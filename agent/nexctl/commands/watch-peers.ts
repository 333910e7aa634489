import { type Clock, systemClock } from '@nexodus/clock';
import type { Peer } from '@nexodus/contracts/nexd';
import { stringify } from 'yaml';
import { peerChanges, type PeerLines, peerLines } from '../peer-changes.ts';
import { peerView } from '../peer-view.ts';
import { instantText, type OutputFormat, printable, tableLines } from '../print-resource.ts';
import { fitLines, redrawLines, type ScreenSize } from '../redraw-lines.ts';

/** How peers are watched. */
export interface WatchOptions {
  readonly list: () => Promise<readonly Peer[]>;
  readonly output: OutputFormat;
  /** Where results go; with a size it is a terminal. */
  readonly screen: {
    readonly size: () => ScreenSize | undefined;
    readonly write: (text: string) => void;
  };
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Default: the system's. */
  readonly clock?: Clock;
}

const REFRESH_MS = 1_000;

/**
 * Shows peers anew each second until the signal: in place on a terminal; elsewhere a line for each peer that changed, or,
 * as JSON or YAML, one document each time that something did.
 */
export async function watchPeers(options: WatchOptions): Promise<void> {
  const { clock = systemClock, list, signal } = options;
  const show = createShow(options, clock);
  while (!signal.aborted) {
    const peers = await list();
    if (!signal.aborted) show(peers);
    await clock.wait(REFRESH_MS, signal);
  }
}

type Show = (peers: readonly Peer[]) => void;

function createShow({ output, screen }: WatchOptions, clock: Clock): Show {
  if (output !== 'table') return documentShow(output, screen.write);
  return screen.size() === undefined ? lineShow(screen.write, clock) : screenShow(screen);
}

function documentShow(output: 'json' | 'yaml', write: (text: string) => void): Show {
  let before = '';
  return (peers) => {
    const data = peers.map(peerView.toJson);
    const text = output === 'json' ? `${JSON.stringify(data)}\n` : `---\n${stringify(data)}`;
    if (text !== before) write(text);
    before = text;
  };
}

function lineShow(write: (text: string) => void, clock: Clock): Show {
  let before: PeerLines = new Map();
  return (peers) => {
    const after = peerLines(peers);
    const at = instantText(new Date(clock.now()));
    for (const line of peerChanges(before, after)) write(`${at} ${printable(line)}\n`);
    before = after;
  };
}

function screenShow({ size, write }: WatchOptions['screen']): Show {
  let before: readonly string[] = [];
  let columns = 0;
  return (peers) => {
    const now = size() ?? { columns: 80, rows: 24 };
    // What a terminal does with its lines when it becomes wider or narrower is its own affair.
    if (columns !== now.columns && before.length > 0) {
      write('\x1b[2J\x1b[H');
      before = [];
    }
    ({ columns } = now);
    const lines = tableLines(peers, peerView.columns);
    const after = fitLines([...lines, '', 'Ctrl-C ends'], now);
    write(redrawLines(before, after));
    before = after;
  };
}
