import { expect, test } from "vitest";
import { Specimen } from "../../sip/specimen.ts";

test("the first object stays, whatever comes later", () => {
  const specimen = new Specimen();
  const [first, second] = [{}, {}];
  specimen.keep(first);
  specimen.keep(second);
  expect(specimen.kept).toBe(first);
});
