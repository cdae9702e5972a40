import { membersAddedSchema } from "../schemas/api-answers.ts";
import { read } from "../schemas/reading.ts";
import type { ApiClient } from "./api-client.ts";
import { Failure } from "./errors.ts";
import { JoinDoor } from "./join-door.ts";
import type { Layout } from "./layout.ts";
import type { LocalMembers } from "./local-members.ts";
import { programVersion } from "./program.ts";
import type { Reporter } from "./reporter.ts";

/** Opens the join door of this host. A cell looks at the tokens: `api`, as they are by then. */
export async function openJoinDoor(
  { host, port }: NonNullable<Layout["door"]>,
  members: LocalMembers,
  api: () => ApiClient,
  reporter: Pick<Reporter, "event">,
): Promise<JoinDoor> {
  const door = new JoinDoor({
    host,
    port,
    tls: members.identity.tls,
    release: programVersion().version,
    admit: async (token, wanted) => {
      const { value } = read(membersAddedSchema, await api().put("/api/members", { members: wanted, invitation: token }));
      if (value === undefined) throw new Failure("a cell's answer names no members: is it of another version?");
      return value;
    },
    said: (event, text) => reporter.event("join door", event, text),
  });
  await door.listen();
  return door;
}
