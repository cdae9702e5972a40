import type * as worker from "../../workers/index.ts";
import type { Environment } from "../../workers/environment.ts";

declare global {
  namespace Cloudflare {
    interface Env extends Environment {}
    interface GlobalProps {
      mainModule: typeof worker;
    }
  }
}
