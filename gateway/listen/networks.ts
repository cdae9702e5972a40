import { BlockList, isIPv6 } from "node:net";

/** Addresses and networks, as `networkIn` has them. */
export class Networks {
  #list = new BlockList();

  constructor(networks: readonly string[]) {
    this.become(networks);
  }

  /** From now on these, and no others. */
  become(networks: readonly string[]): void {
    this.#list = new BlockList();
    for (const each of networks) {
      const [address = "", bits] = each.split("/");
      if (bits === undefined) this.#list.addAddress(address, familyOf(address));
      else this.#list.addSubnet(address, Number(bits), familyOf(address));
    }
  }

  has(address: string): boolean {
    return this.#list.check(address, familyOf(address));
  }
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIPv6(address) ? "ipv6" : "ipv4";
}
