import { domainNameFault, gatewayNameFault } from "../../cluster/map/domains.ts";
import type { Fault } from "../../schemas/reading.ts";
import { hostInUri } from "../../sip/host-in-uri.ts";
import { reasonOf } from "../errors.ts";
import { parseAddressOfRecord } from "../subscribers.ts";
import { accountOf, isLoopbackUrl, urlOf, workerOf } from "./cell-place.ts";
import { type CellOfFile, exchangesDefault, type SystemFile } from "./system-file.ts";

/** All that is wrong with a file whose keys and kinds of values are right. */
export function faultsOfFile(file: SystemFile): readonly Fault[] {
  return [...domainFaults(file), ...cellFaults(file), ...gatewayFaults(file)];
}

function domainFaults({ domains, firstSubscriber, cells, exchanges = exchangesDefault }: SystemFile): readonly Fault[] {
  const faults = domains.flatMap(({ name }, index) => {
    const isAgain = domains.findIndex((other) => other.name === name) < index;
    const reason = domainNameFault(name) ?? (isAgain ? "stands there already" : undefined);
    return reason === undefined ? [] : [{ path: `domains[${index}].name`, reason }];
  });
  if (domains.length === 0) faults.push({ path: "domains", reason: "must name a domain" });
  // A cell without an exchange would serve nobody.
  if (exchanges < cells.length)
    faults.push({ path: "exchanges", reason: `must be ${cells.length} at least, one for each cell, is ${exchanges}` });
  if (firstSubscriber === undefined || faults.length > 0) return faults;
  try {
    const [first, ...others] = domains.map(({ name }) => name);
    parseAddressOfRecord(firstSubscriber, first, others);
    return [];
  } catch (error) {
    return [{ path: "firstSubscriber", reason: reasonOf(error) }];
  }
}

/** What is known of a file by its cell that is looked at. */
type Seen = { readonly file: SystemFile; readonly at: string; readonly index: number };

function cellFaults(file: SystemFile): readonly Fault[] {
  const { cells, accounts = [] } = file;
  const twice = accounts.flatMap(({ name, id }, index) =>
    accounts.slice(0, index).some((other) => other.name === name || other.id === id)
      ? [{ path: `accounts[${index}]`, reason: "has the name or the id of an earlier one" }]
      : [],
  );
  if (cells.length === 0) return [...twice, { path: "cells", reason: "must name a cell" }];
  return [
    ...twice,
    ...cells.flatMap((cell, index) => {
      const seen = { file, at: `cells[${index}]`, index };
      const own = cell.kind === "cloudflare" ? cloudFaults(cell, seen) : bladeFaults(cell, seen);
      const before = cells.slice(0, index);
      const again = [
        ...(before.some(({ id }) => id === cell.id) ? [{ path: `${seen.at}.id`, reason: `is ${cell.id}, which an earlier cell is` }] : []),
        ...(own.length === 0 && before.some((other) => safeUrlOf(other) === safeUrlOf(cell))
          ? [{ path: seen.at, reason: `is at ${safeUrlOf(cell)}, where an earlier cell is` }]
          : []),
      ];
      return [...own, ...again];
    }),
  ];
}

function safeUrlOf(cell: CellOfFile): string {
  try {
    return urlOf(cell);
  } catch {
    return "";
  }
}

/** Its URL says nothing else than where it is. */
const originOnly = /^https?:\/\/[^/?#@\s]+\/?$/;
const hostName = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/;

function cloudFaults(cell: CellOfFile, { file, at, index }: Seen): readonly Fault[] {
  const { url, customDomain, route } = cell;
  const faults: Fault[] = [];
  const ways = [url, customDomain, route].filter((way) => way !== undefined).length;
  if (ways !== 1) faults.push({ path: at, reason: `must say one of url, customDomain and route, says ${ways === 0 ? "none" : ways}` });
  if (url !== undefined) faults.push(...cloudUrlFaults(cell, url, `${at}.url`));
  if (customDomain !== undefined && !hostName.test(customDomain))
    faults.push({ path: `${at}.customDomain`, reason: "must be the name of a host in a zone of the account, as a.sip.example.org" });
  if (route !== undefined && !(route.endsWith("/*") && hostName.test(route.slice(0, -2))))
    faults.push({ path: `${at}.route`, reason: "must be HOST/*, as a.sip.example.org/*: a cell has all paths of its host" });
  const { accounts = [] } = file;
  if (cell.account === undefined && accounts.length > 1)
    faults.push({ path: `${at}.account`, reason: `is missing, and there are ${accounts.length} accounts` });
  if (cell.account !== undefined && accounts.every(({ name }) => name !== cell.account))
    faults.push({ path: `${at}.account`, reason: `is ${cell.account}, which no [[accounts]] has for its name` });
  const sameWorker = file.cells
    .slice(0, index)
    .some(
      (other) =>
        other.kind === "cloudflare" && workerOf(other) === workerOf(cell) && accountOf(other, file)?.id === accountOf(cell, file)?.id,
    );
  if (sameWorker) faults.push({ path: `${at}.worker`, reason: `is ${workerOf(cell)}, which an earlier cell of the account is` });
  return faults;
}

function cloudUrlFaults(cell: CellOfFile, url: string, path: string): readonly Fault[] {
  const wanted = `must be https://${workerOf(cell)}.SUBDOMAIN.workers.dev, where wrangler puts it; or say customDomain or route in its place`;
  if (!originOnly.test(url) || !URL.canParse(url)) return [{ path, reason: wanted }];
  if (isLoopbackUrl(url)) return [];
  const { protocol, host } = new URL(url);
  const [worker, , ...rest] = host.split(".");
  return protocol === "https:" && worker === workerOf(cell) && rest.join(".") === "workers.dev" ? [] : [{ path, reason: wanted }];
}

function bladeFaults(cell: CellOfFile, { at }: Seen): readonly Fault[] {
  const { url } = cell;
  const notOfBlades = (["customDomain", "route", "worker", "account", "location", "jurisdiction"] as const).filter(
    (key) => cell[key] !== undefined,
  );
  const faults: Fault[] = notOfBlades.map((key) => ({ path: `${at}.${key}`, reason: "is for cells of the kind cloudflare" }));
  if (url === undefined) return [...faults, { path: `${at}.url`, reason: "is missing" }];
  const isSound = originOnly.test(url) && URL.canParse(url) && (url.startsWith("https:") || isLoopbackUrl(url));
  if (!isSound)
    faults.push({
      path: `${at}.url`,
      reason: "must be an https URL without a path, with a certificate that Cloudflare knows, as https://c.example.org",
    });
  return faults;
}

function gatewayFaults({ gateways = [], domains }: SystemFile): readonly Fault[] {
  return gateways.flatMap(({ name, listeners, tls }, index) => {
    const at = `gateways[${index}]`;
    const faults: Fault[] = [];
    if (gateways.findIndex((other) => other.name === name) < index)
      faults.push({ path: `${at}.name`, reason: `is ${name}, which an earlier one has` });
    if (listeners.length === 0) faults.push({ path: `${at}.listeners`, reason: "must name one: nobody finds it otherwise" });
    if (tls === undefined && listeners.some(({ transport }) => transport === "tls" || transport === "wss"))
      faults.push({ path: `${at}.tls`, reason: "is missing, and it listens for TLS" });
    for (const [number, { host, advertise }] of listeners.entries()) {
      const own = `${at}.listeners[${number}]`;
      if (advertise === undefined && /^(?:0\.0\.0\.0|::|\[::\])$/.test(host))
        faults.push({ path: `${own}.advertise`, reason: `is missing: phones cannot send to ${host}` });
      const named = advertise?.replace(/:\d+$/, "") ?? hostInUri(host);
      const fault = gatewayNameFault({ domains: domains.map((domain) => ({ name: domain.name, auth: "digest" })) }, [{ host: named }]);
      if (fault !== undefined) faults.push({ path: `${own}.advertise`, reason: fault });
    }
    return faults;
  });
}
