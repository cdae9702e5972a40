import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { apiReference } from "../schemas/api-reference.ts";
import { DeployFiles } from "./deploy/files.ts";

/** `npm run reference`: writes docs/api.md and wrangler.toml anew. */
writeFileSync(new URL("../docs/api.md", import.meta.url), apiReference());
const files = new DeployFiles(fileURLToPath(new URL("../tandem.toml", import.meta.url)));
writeFileSync(new URL("../wrangler.toml", import.meta.url), files.texts().last.text);
