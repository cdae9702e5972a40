/**
 * Keeps the first object that it is given, for ever. V8 throws compiled code away with the shapes that it was made for. A shape is gone when no
 * object has it at the time of a full garbage collection. What lives for less than a millisecond, as messages do, is never there at that time, unless
 * one of its kind stays. Without that one a cell at 1500 calls/s compiled the same functions anew every ten seconds, a twentieth of its work.
 */
export class Specimen {
  kept: object | undefined;

  keep(object: object): void {
    this.kept ??= object;
  }
}
