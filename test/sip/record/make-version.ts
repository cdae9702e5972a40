import { msTextOf, versionIn, type Version, type VersionParts } from "../../../sip/record/version.ts";

/** A version from its parts: the inverse of parseVersion. */
export function makeVersion({ ms, counter, cell }: VersionParts): Version {
  return versionIn(msTextOf(ms), counter, cell);
}
