import type { GenericSchema } from "valibot";
import {
  cellDrainingSchema,
  registrationsSchema,
  settingsSchema,
  statusSchema,
  subscriberRemovedSchema,
  subscribersSchema,
  subscribersStoredSchema,
} from "./api-answers.ts";
import { drainingBodySchema, settingsBodySchema, subscribersBodySchema } from "./api-bodies.ts";

/** One thing that can be asked of a cell under `/api`. */
export type ApiRoute = {
  readonly method: "GET" | "PUT" | "DELETE";
  readonly path: string;
  readonly summary: string;
  /** The command that asks it. */
  readonly command: string;
  /** Parameters of path and query, by name. */
  readonly parameters?: Readonly<Record<string, string>>;
  readonly body?: GenericSchema;
  readonly answer: GenericSchema;
  /** What it may refuse with, besides what every route may. */
  readonly refusals?: Readonly<Record<number, string>>;
};

const wrongAddress = "`aor` is no address-of-record of a domain of ours";
const unreachable = "neither replica of an exchange that is needed can be reached";

/** All of `/api/*`; a test of the cells holds that there is no other route. */
export const apiRoutes: readonly ApiRoute[] = [
  {
    method: "GET",
    path: "/api/status",
    summary: "Who is a member, in which state, and what the cells hold.",
    command: "tandem status",
    answer: statusSchema,
  },
  {
    method: "GET",
    path: "/api/registrations",
    summary: "Who is registered, over what, and until when.",
    command: "tandem registrations [AOR]",
    parameters: { aor: "only those of this address-of-record; may be left out" },
    answer: registrationsSchema,
    refusals: { 400: wrongAddress, 503: unreachable },
  },
  {
    method: "GET",
    path: "/api/subscribers",
    summary: "The addresses-of-record of all subscribers, sorted.",
    command: "tandem subscriber list",
    answer: subscribersSchema,
    refusals: { 503: unreachable },
  },
  {
    method: "PUT",
    path: "/api/subscribers",
    summary: "Adds subscribers, or replaces what is known of them. One wrong entry refuses them all.",
    command: "tandem subscriber add, tandem subscriber import",
    body: subscribersBodySchema,
    answer: subscribersStoredSchema,
    refusals: {
      400: "the body is wrong; the text names the subscriber, counted from 1",
      413: "the body is longer than 8 MiB",
      503: `${unreachable}; the others have stored theirs, and to ask again does no harm`,
      507: "the disk of an exchange is full; the text says how many are stored",
    },
  },
  {
    method: "DELETE",
    path: "/api/subscribers",
    summary: "Removes one subscriber. Registrations end with it.",
    command: "tandem subscriber remove AOR",
    parameters: { aor: "address-of-record" },
    answer: subscriberRemovedSchema,
    refusals: { 400: wrongAddress, 404: "it is no subscriber", 503: unreachable, 507: "the disk of its exchange is full" },
  },
  {
    method: "GET",
    path: "/api/settings",
    summary: "What can be changed while the cluster runs.",
    command: "tandem heartbeat",
    answer: settingsSchema,
  },
  {
    method: "PUT",
    path: "/api/settings",
    summary: "Changes it, everywhere, within milliseconds.",
    command: "tandem heartbeat --period-ms N --missed N",
    body: settingsBodySchema,
    answer: settingsSchema,
    refusals: { 400: "a value is out of bounds; the text names it" },
  },
  {
    method: "PUT",
    path: "/api/cells/:cell",
    summary: "Takes a cell out of service, or back.",
    command: "tandem drain CELL, tandem undrain CELL",
    parameters: { cell: "its id" },
    body: drainingBodySchema,
    answer: cellDrainingSchema,
    refusals: {
      400: "the body is wrong",
      404: "there is no such cell",
      409: "it stays in service: no other cell could take over",
      503: "it cannot be reached",
    },
  },
];
