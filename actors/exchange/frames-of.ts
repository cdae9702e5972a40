import { frameOctetsMax } from "../../cluster/limits.ts";
import { recordOctets, type FrameRecord } from "../../cluster/backhaul/frame.ts";

/** Divides records among frames that the codec takes: nearly always one. */
export function* framesOf(records: readonly FrameRecord[]): IterableIterator<readonly FrameRecord[]> {
  let start = 0;
  let octets = 0;
  for (const [index, record] of records.entries()) {
    const size = recordOctets(record.key, record.octets);
    if (octets + size > frameOctetsMax / 2 && index > start) {
      yield records.slice(start, index);
      start = index;
      octets = 0;
    }
    octets += size;
  }
  if (start < records.length) yield start === 0 ? records : records.slice(start);
}
