import { describe, expect, it } from "vitest";
import { RepeatedFinal } from "../../../kit/phone/repeated-final.ts";
import { ManualEnvironment } from "./manual-environment.ts";

function repeat(environment: ManualEnvironment): { readonly final: RepeatedFinal; readonly seen: string[] } {
  const seen: string[] = [];
  const again = (ageMs: number): void => void seen.push(String(ageMs));
  return { final: new RepeatedFinal(environment, { again, unacknowledged: () => seen.push(`none ${environment.now}`) }), seen };
}

describe("a final response to an INVITE", () => {
  it("[RFC3261 13.3.1.4, 17.2.1] is said again in intervals of up to 4 s, until nobody can wait for it any more", () => {
    const environment = new ManualEnvironment();
    const { final, seen } = repeat(environment);
    environment.advance(60_000);
    expect(seen.slice(0, 5)).toEqual(["500", "1500", "3500", "7500", "11500"]);
    expect(seen.slice(-2)).toEqual(["31500", "none 35500"]);
    expect(final.sends).toBe(seen.length);
  });

  it("is not said any more after its ACK", () => {
    const environment = new ManualEnvironment();
    const { final, seen } = repeat(environment);
    environment.advance(1_600);
    final.stop();
    environment.advance(60_000);
    expect(seen).toEqual(["500", "1500"]);
  });
});
