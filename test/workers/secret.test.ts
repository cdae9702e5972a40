import { expect, it } from "vitest";
import { callApi } from "./cell.ts";

it("is not changed where gateways and commands have it too", async () => {
  for (const method of ["GET", "PUT"]) {
    const response = await callApi(method, "/secret");
    expect(response.status).toBe(409);
    expect((await response.json<{ error: string }>()).error).toMatch(/^this system has no authority, and one secret for all: stop it/);
  }
});
