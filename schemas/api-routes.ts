import type { GenericSchema } from "valibot";
import {
  callEndedSchema,
  callSchema,
  callsSchema,
  cellChangedSchema,
  domainRemovedSchema,
  domainsSchema,
  gatewayDrainingSchema,
  gatewaysSchema,
  gatewayWeightSchema,
  groupSchema,
  groupSettingsSchema,
  mapAnswerSchema,
  memberRemovedSchema,
  membersAddedSchema,
  membersSchema,
  registrationsSchema,
  settingsSchema,
  statusSchema,
  subscriberRemovedSchema,
  subscribersSchema,
  subscribersStoredSchema,
} from "./api-answers.ts";
import {
  domainBodySchema,
  cellBodySchema,
  gatewayDrainingBodySchema,
  groupBodySchema,
  mapBodySchema,
  membersBodySchema,
  settingsBodySchema,
  subscribersBodySchema,
  weightBodySchema,
} from "./api-bodies.ts";

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
    path: "/api/calls",
    summary: "What became of calls, the earliest first, or which stand now.",
    command: "tandem calls [AOR]",
    parameters: {
      aor: "only those of this address-of-record, as caller or callee; may be left out",
      since: "only those that began then or later, as ISO 8601 writes it; may be left out",
      failed: "`true`: only those that nobody answered; may be left out",
      most: "the latest so many, at most 10 000; without it 1000",
      before: "only those before this call, as `START,ID`; the first call of an answer gives the page before it; may be left out",
      live: "`true`: those that stand now, and nothing of the above but `aor` counts; may be left out",
    },
    answer: callsSchema,
    refusals: {
      400: `${wrongAddress}, or another parameter is wrong; the text names it`,
      503: "no ledger, or no replica of an exchange, can be reached",
    },
  },
  {
    method: "GET",
    path: "/api/calls/:id",
    summary: "What became of one call, or what it does now.",
    command: "tandem calls show ID",
    parameters: { id: "as a list of calls shows it" },
    answer: callSchema,
    refusals: { 404: "there is no such call, or it was too long ago", 503: "no ledger can be reached" },
  },
  {
    method: "DELETE",
    path: "/api/calls/:id",
    summary: "Ends a call that stands. Its phones are told, and its record says that an operator has ended it.",
    command: "tandem calls end ID",
    parameters: { id: "as a list of calls shows it" },
    answer: callEndedSchema,
    refusals: {
      404: "no such call stands",
      409: "there is no way to one of its phones: the answer says which, and the call is not ended",
      503: "neither replica of an exchange that may have it can be reached, or has the time",
    },
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
    path: "/api/domains",
    summary: "The SIP domains that are served, the first one first.",
    command: "tandem domain list",
    parameters: { subscribers: "`true`: with how many subscribers each has; may be left out" },
    answer: domainsSchema,
    refusals: { 503: unreachable },
  },
  {
    method: "PUT",
    path: "/api/domains/:name",
    summary: "Adds a domain, or says anew who may register in one that was added so.",
    command: "tandem domain add D",
    parameters: { name: "the domain" },
    body: domainBodySchema,
    answer: domainsSchema,
    refusals: {
      400: "the body is wrong, or the name is none of a domain, or that of a machine; the text says which",
      409: "cells are started with it, or there are 200 domains",
      503: "the coordinator cannot be reached",
    },
  },
  {
    method: "DELETE",
    path: "/api/domains/:name",
    summary: "Removes a domain that was added so, its subscribers and all registrations in it; calls that stand go on.",
    command: "tandem domain remove D",
    parameters: {
      name: "the domain",
      subscribers: "`true`: though it has subscribers or registered phones, who are removed as well; may be left out",
    },
    answer: domainRemovedSchema,
    refusals: {
      404: "there is no such domain, and nobody is left of it",
      409: "it has subscribers or registered phones, or cells are started with it; the text says which",
      503: `${unreachable}, or the coordinator`,
    },
  },
  {
    method: "GET",
    path: "/api/gateways",
    summary: "The gateways: where phones find each, and which share of them it is to get.",
    command: "tandem dns",
    answer: gatewaysSchema,
  },
  {
    method: "PUT",
    path: "/api/gateways/:gateway",
    summary: "Gives a gateway another share of the phones. The zone of `tandem dns` has it.",
    command: "tandem gateway weight GATEWAY N",
    parameters: { gateway: "its id" },
    body: weightBodySchema,
    answer: gatewayWeightSchema,
    refusals: { 400: "the body is wrong", 404: "there is no such gateway", 503: "the coordinator cannot be reached" },
  },
  {
    method: "PUT",
    path: "/api/gateways/:gateway/draining",
    summary: "Takes a gateway out of service, or back. It keeps what it has, and tells who probes it to go elsewhere.",
    command: "tandem drain NAME, tandem undrain NAME",
    parameters: { gateway: "its id" },
    body: gatewayDrainingBodySchema,
    answer: gatewayDrainingSchema,
    refusals: {
      400: "the body is wrong",
      404: "there is no such gateway",
      409: "it stays in service: no other gateway is up",
      503: "the coordinator cannot be reached",
    },
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
    method: "GET",
    path: "/api/group",
    summary: "The members, what the group does, and which cells have which exchange.",
    command: "tandem group",
    answer: groupSchema,
  },
  {
    method: "PUT",
    path: "/api/group",
    summary: "Says which cells are to be the coordinator before others, and how long a dead cell is waited for. No restart is needed.",
    command: "tandem group prefer, tandem group heal-after",
    body: groupBodySchema,
    answer: groupSettingsSchema,
    refusals: { 400: "the body is wrong", 404: "there is no such cell; the text names it", 503: "the coordinator cannot be reached" },
  },
  {
    method: "GET",
    path: "/api/map",
    summary: "Which cells there are, and which of them have which exchange, by the newest map that the asked cell knows.",
    command: "none yet",
    answer: mapAnswerSchema,
  },
  {
    method: "PUT",
    path: "/api/map",
    summary: "Has other cells, or gives exchanges to others. Calls stand meanwhile. The coordinator writes it, whichever cell is asked.",
    command: "none yet",
    body: mapBodySchema,
    answer: mapAnswerSchema,
    refusals: {
      400: "the body is wrong, or an exchange would be in no cell of the map; the text says which",
      409: "the map has changed meanwhile, or a cell stays because fewer than two others are up; the text says which",
      503: "the coordinator cannot be reached",
    },
  },
  {
    method: "GET",
    path: "/api/members",
    summary: "Who signs with a key of its own, in a system with an authority.",
    command: "none yet",
    answer: membersSchema,
  },
  {
    method: "PUT",
    path: "/api/members",
    summary: "Makes members, and signs their certificates. One that is a member already, with the same key, gets another certificate.",
    command: "none yet",
    body: membersBodySchema,
    answer: membersAddedSchema,
    refusals: {
      400: "the body is wrong, or a key or an address is none; the text says which",
      409: "the name is taken, the key was removed, or there is no authority; the text says which",
      503: "the coordinator cannot be reached",
    },
  },
  {
    method: "DELETE",
    path: "/api/members/:id",
    summary: "Removes a member, and all that runs on it where it is a host. Their keys count no more.",
    command: "none yet",
    parameters: { id: "its name" },
    answer: memberRemovedSchema,
    refusals: { 409: "it is no member, or something would be lost; the text says what", 503: "the coordinator cannot be reached" },
  },
  {
    method: "PUT",
    path: "/api/cells/:cell",
    summary: "Takes a cell out of service, or back; or gives it another share of the exchanges, which move while calls stand.",
    command: "tandem drain NAME, tandem undrain NAME, tandem cell weight CELL N",
    parameters: { cell: "its id" },
    body: cellBodySchema,
    answer: cellChangedSchema,
    refusals: {
      400: "the body is wrong",
      404: "there is no such cell",
      409: "it stays as it is: no other cell could take over, or fewer than two others have a weight",
      503: "it cannot be reached, or the coordinator cannot",
    },
  },
];
