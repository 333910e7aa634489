import { readFileSync } from 'node:fs';

/** USER_HZ: Linux reports times to user space in hundredths of a second on all machines it runs on here. */
const TICKS_PER_SECOND = 100;

/** Processor time since the start of processes and of the machine, in seconds. */
export interface ProcessorTime {
  /** Of the relay's process, its system calls included; 0 where there is none. */
  readonly relay: number;
  /** Of the processes that the way of relaying needs on the devices. */
  readonly ends: number;
  /** Of the kernel in software interrupts, all of the machine: where packets are forwarded, whoever caused them. */
  readonly softirq: number;
}

/** Reads the clocks. */
export function readProcessorTime(of: {
  readonly relayPid: number | undefined;
  readonly endPids: readonly number[];
}): ProcessorTime {
  return {
    relay: of.relayPid === undefined ? 0 : secondsOf(of.relayPid),
    ends: of.endPids.reduce((sum, pid) => sum + secondsOf(pid), 0),
    softirq: softirqSeconds(),
  };
}

/** What passed between two readings. */
export function passed(before: ProcessorTime, after: ProcessorTime): ProcessorTime {
  return {
    relay: after.relay - before.relay,
    ends: after.ends - before.ends,
    softirq: after.softirq - before.softirq,
  };
}

/** proc_pid_stat(5): utime and stime are the 14th and 15th field; the 2nd may contain blanks and ends with ")". */
function secondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** proc_stat(5): the 7th number of the line of all processors. */
function softirqSeconds(): number {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1);
  return Number(line.trim().split(/\s+/)[7]) / TICKS_PER_SECOND;
}
