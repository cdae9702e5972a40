import { vi } from "vitest";

/** What a wait is given unless it says otherwise. Vitest's own second is too short for a busy machine; only what hangs takes this long. */
const patientMs = 10_000;

const { waitFor } = vi;

vi.waitFor = (condition, options) => waitFor(condition, typeof options === "number" ? options : { timeout: patientMs, ...options });
