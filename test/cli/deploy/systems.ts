import { systemFileOf } from "../../../cli/deploy/system-file.ts";
import { type System, systemOf } from "../../../cli/deploy/system.ts";
import { faultText } from "../../../schemas/reading.ts";

/** Two cells of one account. */
export const oneAccount = `domains = [{ name = "example.org" }]

[[cells]]
id = "a"
kind = "cloudflare"
url = "https://tandem-a.me.workers.dev"
location = "weur"
jurisdiction = "eu"

[[cells]]
id = "b"
kind = "cloudflare"
customDomain = "b.sip.example.org"
location = "eeur"
`;

export const twoAccounts = `domains = [{ name = "example.org" }]
accounts = [
  { name = "one", id = "11111111111111111111111111111111" },
  { name = "two", id = "22222222222222222222222222222222" },
]

[[cells]]
id = "a"
kind = "cloudflare"
url = "https://tandem-a.me.workers.dev"
account = "one"

[[cells]]
id = "b"
kind = "cloudflare"
route = "b.sip.example.org/*"
account = "two"
`;

/** Two cells of one account, and one on a machine. */
export const withBlade = `${oneAccount}
[[cells]]
id = "c"
kind = "blade"
url = "https://c.example.org"
`;

/** A system whose file is right. */
export function systemIn(toml: string): System {
  const made = madeOf(toml);
  if ("faults" in made) throw new Error(made.faults.map(faultText).join("; "));
  return made.system;
}

/** All that is wrong with a file, in lines. */
export function faultsIn(toml: string): readonly string[] {
  const made = madeOf(toml);
  return "faults" in made ? made.faults.map(faultText) : [];
}

function madeOf(toml: string): ReturnType<typeof systemOf> {
  const content = systemFileOf(toml);
  return "faults" in content ? content : systemOf(content.file);
}
