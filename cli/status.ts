import { isListOf, isTable, isText } from "./json.ts";

/** A cell or a gateway, as the asked cell sees it. */
export type Member = {
  readonly id: string;
  readonly state: string;
  /** Of its own view; cells only. */
  readonly epoch?: number;
  /** Since it was last heard, ms; absent: never. */
  readonly heardMs?: number;
  /** Heartbeats or pings missed in a row; absent: none. */
  readonly missed?: number;
  /** Present while it is suspected: why. */
  readonly suspicion?: string;
  /** It cuts itself off, because it reaches nobody. */
  readonly isFenced?: true;
  /** Its disk has no room: what changes is in memory only. */
  readonly isDiskFull?: true;
  /** Present while it is out of service and sends its softphones elsewhere: how many it still has. */
  readonly softphonesLeft?: number;
};

/** One change of the asked cell's view. */
export type Change = {
  readonly epoch: number;
  /** ms since the epoch. */
  readonly at: number;
  readonly kind: string;
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly cause: string;
  readonly detail: string;
};

/** The answer of `GET /api/status`. */
export type Status = {
  readonly cells: readonly Member[];
  readonly gateways: readonly Member[];
  readonly registrations: number;
  readonly dialogs: number;
  /** 1/sum((n_i/N)^2) over the live cells' registrations: 1.00 = all on one, 2.00 = two even. */
  readonly loadBalance: number;
  /** The cell that computes the map. */
  readonly coordinator: string;
  /** Requests that the cells refused for a wrong or old signature since they started. */
  readonly signaturesRefused: number;
  /** The latest changes of the view, the newest last. */
  readonly history: readonly Change[];
};

export function isStatus(value: unknown): value is Status {
  if (!isTable(value) || !isListOf(value["cells"], isMember) || !isListOf(value["gateways"], isMember)) return false;
  if (!isListOf(value["history"], isChange)) return false;
  return (
    isText(value["coordinator"]) &&
    ["registrations", "dialogs", "loadBalance", "signaturesRefused"].every((name) => typeof value[name] === "number")
  );
}

function isMember(value: unknown): value is Member {
  return isTable(value) && isText(value["id"]) && isText(value["state"]);
}

function isChange(value: unknown): value is Change {
  if (!isTable(value) || typeof value["epoch"] !== "number" || typeof value["at"] !== "number") return false;
  return ["kind", "id", "from", "to", "cause", "detail"].every((name) => typeof value[name] === "string");
}
