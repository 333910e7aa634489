/**
 * Preloaded into a program (`node --import`), it shifts that program's clock: by TEST_CLOCK_SHIFT_MS milliseconds, or five
 * minutes back.
 */
const present = Date.now.bind(Date);
const shiftMs = Number(process.env['TEST_CLOCK_SHIFT_MS'] ?? -300_000);

class ShiftedDate extends Date {
  static override now(): number {
    return present() + shiftMs;
  }

  constructor(...parts: [] | [number | string | Date]) {
    super(parts.length === 0 ? ShiftedDate.now() : parts[0]);
  }
}

globalThis.Date = ShiftedDate as DateConstructor; // what is left out of its forms nobody here uses
