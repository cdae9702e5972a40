import { availableParallelism } from "node:os";
import { join } from "node:path";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

// wrangler.toml asks for the secret; tests of the workers sign with this one.
process.env["TANDEM_SECRET"] = "for tests only";

const cores = availableParallelism();

/**
 * Tests that compute, which are those of `core`: a file for each core. Modules hold no state (test/house/module-state.test.ts), so files share
 * them: to load them for every file took a third of the time.
 */
const computing = {
  isolate: false,
  maxWorkers: cores,
  sequence: { groupOrder: 0 },
  // No bound stops a test that computes: it fails it afterwards, where a machine is slow. So it is far away, and no test has a shorter one.
  testTimeout: 600_000,
  hookTimeout: 600_000,
};

/**
 * Tests that mostly wait, for processes and timers: when nobody computes any more, and one file more than there are cores. Their bound is for what
 * hangs: what has to be fast says so in its test.
 */
const waiting = { maxWorkers: cores + 1, sequence: { groupOrder: 1 }, testTimeout: 120_000, hookTimeout: 120_000 };

/**
 * One project per kind of runtime: `core` is pure and fast, `workers` runs inside workerd, `node` starts real sockets and processes.
 * `interop` needs Debian's packages and is not part of `npm test`.
 */
export default defineConfig({
  test: {
    // `npm run coverage`: lines that the tests of these rooms run. What runs inside workerd, or in a process of its own, is not seen.
    coverage: {
      provider: "v8",
      include: ["sip/**/*.ts", "cluster/**/*.ts", "actors/**/*.ts", "schemas/**/*.ts", "gateway/**/*.ts", "kit/**/*.ts", "cli/**/*.ts"],
      reporter: ["text"],
    },
    projects: [
      {
        test: {
          name: "core",
          include: [
            "test/{sip,cluster,actors,schemas}/**/*.test.ts",
            "test/kit/phone/**/*.test.ts",
            "test/house/**/*.test.ts",
            "test/simulation/**/*.test.ts",
          ],
          ...computing,
        },
      },
      {
        plugins: [cloudflareTest({ wrangler: { configPath: "./wrangler.toml", environment: "a" } })],
        test: { name: "workers", include: ["test/workers/**/*.test.ts"], setupFiles: ["test/workers/patience.ts"], ...waiting },
      },
      {
        test: {
          name: "node",
          include: [
            "test/gateway/**/*.test.ts",
            "test/kit/{connections,world}/**/*.test.ts",
            "test/cli/**/*.test.ts",
            "test/system/**/*.test.ts",
          ],
          // Tests start hundreds of processes of the same modules, which are compiled once.
          env: { NODE_COMPILE_CACHE: join(import.meta.dirname, "node_modules", ".cache", "compiled") },
          ...waiting,
        },
      },
      {
        test: {
          name: "interop",
          include: ["test/interop/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
