import { type DeployedCell, wranglerTomlOf } from "./wrangler-file.ts";

/** Two cells at two places, each with a wrangler of its own on this machine: what wrangler.toml says as it comes. */
const cells: readonly DeployedCell[] = [
  { id: "a", script: "tandem-a", locationHint: "weur", bound: [] },
  { id: "b", script: "tandem-b", locationHint: "eeur", bound: [] },
];

const map = `{
  "version": 1,
  "cells": [{ "id": "a", "url": "http://127.0.0.1:8801" }, { "id": "b", "url": "http://127.0.0.1:8802" }],
  "exchangeCount": 4,
  "lineCount": 4,
  "domains": [{ "name": "example.test", "auth": "digest" }],
  "aliases": ["127.0.0.1"],
  "heartbeat": { "periodMs": 1000, "missed": 3 },
  "replication": { "ackTimeoutMs": 200 },
  "flushMs": 1000
}`;

export function exampleWranglerToml(): string {
  return wranglerTomlOf(cells, map);
}
