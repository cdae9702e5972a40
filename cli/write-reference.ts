import { writeFileSync } from "node:fs";
import { apiReference } from "../schemas/api-reference.ts";

/** `npm run reference`: writes docs/api.md anew. */
writeFileSync(new URL("../docs/api.md", import.meta.url), apiReference());
