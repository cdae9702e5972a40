import { describe, expect, it } from "vitest";
import { list, read, record, whole } from "../../schemas/reading.ts";

describe("read", () => {
  const schema = record({ cells: list(record({ port: whole(1, 65_535) })) });

  it.each([
    [{ cells: [{ port: 5060 }, { port: 0 }] }, "cells[1].port", "must be a whole number from 1 to 65535"],
    [{ cells: [{ port: 5060.5 }] }, "cells[0].port", "must be a whole number from 1 to 65535"],
    [{ cells: [{ port: "5060" }] }, "cells[0].port", "must be a whole number from 1 to 65535"],
    [{ cells: [{}] }, "cells[0].port", "is missing"],
    [{ cells: {} }, "cells", "must be a list"],
    [{}, "cells", "is missing"],
    [undefined, "", "must be an object"],
  ])("says of %j where it is wrong, and why", (value, path, reason) => {
    expect(read(schema, value)).toEqual({ fault: { path, reason } });
  });

  it("leaves out what nobody asks for", () => {
    expect(read(schema, { cells: [{ port: 1, host: "x" }], more: 1 })).toEqual({ value: { cells: [{ port: 1 }] } });
  });
});
