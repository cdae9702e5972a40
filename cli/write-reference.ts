import { writeFileSync } from "node:fs";
import { apiReference } from "../schemas/api-reference.ts";
import { exampleWranglerToml } from "./wrangler-example.ts";

/** `npm run reference`: writes docs/api.md and wrangler.toml anew. */
writeFileSync(new URL("../docs/api.md", import.meta.url), apiReference());
writeFileSync(new URL("../wrangler.toml", import.meta.url), exampleWranglerToml());
