import { memberNamePattern } from "../limits.ts";
import { parseIpv4, parseIpv6 } from "../../sip/message/ip-address.ts";
import { ascii, bitString, identifier, moment, octetString, sequence, serialNumber, setOf, smallInteger, utf8, value, yes } from "./der.ts";
import { authorityDays, backdatedMs, memberCertificateDays } from "./limits.ts";

/** What the shell does for certificates. */
export type CertificateTools = {
  /** ECDSA over P-256 with SHA-256, under the key of the authority: as DER. */
  readonly sign: (octets: Uint8Array) => Uint8Array;
  readonly sha256: (octets: Uint8Array) => Uint8Array;
};

/** An authority as its certificates name it. */
export type AuthorityName = {
  /** Its common name, which is no other one's. ASCII. */
  readonly name: string;
  /** As {@link isP256Key} takes it. */
  readonly publicKey: Uint8Array;
};

/** What differs from one certificate to the next. */
export type CertificateOptions = {
  /** ms since the epoch. */
  readonly now: number;
  /** 16 random octets. */
  readonly serial: Uint8Array;
};

/** Of whom a certificate is. */
export type CertificateSubject = {
  readonly id: string;
  /** Addresses, IPv6 without brackets, or names by which others reach it. Empty: nobody connects to it. */
  readonly addresses: readonly string[];
  /** As {@link isP256Key} takes it. */
  readonly publicKey: Uint8Array;
};

/** A certificate and when it ends: DER, and ms since the epoch. */
export type Certificate = { readonly der: Uint8Array; readonly until: number };

const dayMs = 86_400_000;

/** The certificate of the authority itself (RFC 5280): it signs those of members, and no further authority. */
export function authorityCertificate(authority: AuthorityName, { now, serial }: CertificateOptions, tools: CertificateTools): Certificate {
  const keyUsage = Uint8Array.of(0x06);
  return signed(
    { authority, subject: authority.name, publicKey: authority.publicKey, now, serial, days: authorityDays },
    [
      extension("2.5.29.19", sequence(yes, smallInteger(0)), true),
      extension("2.5.29.15", bitString(keyUsage, 1), true),
      extension("2.5.29.14", octetString(keyIdOf(authority.publicKey, tools))),
    ],
    tools,
  );
}

/** The certificate of a member, good for both ends of a connection. Throws when an address or the key is none. */
export function memberCertificate(
  { id, addresses, publicKey }: CertificateSubject,
  authority: AuthorityName,
  { now, serial }: CertificateOptions,
  tools: CertificateTools,
): Certificate {
  if (!memberNamePattern.test(id)) throw new RangeError(`${id} is no name of a member`);
  if (!isP256Key(publicKey)) throw new RangeError(`the key of ${id} is not of P-256`);
  const alternatives = addresses.map((address) => alternativeName(address));
  const usages = sequence(identifier("1.3.6.1.5.5.7.3.1"), identifier("1.3.6.1.5.5.7.3.2"));
  return signed(
    { authority, subject: id, publicKey, now, serial, days: memberCertificateDays },
    [
      extension("2.5.29.19", sequence(), true),
      extension("2.5.29.15", bitString(Uint8Array.of(0x80), 7), true),
      extension("2.5.29.37", usages),
      extension("2.5.29.35", sequence(value(0x80, keyIdOf(authority.publicKey, tools)))),
      ...(alternatives.length === 0 ? [] : [extension("2.5.29.17", sequence(...alternatives))]),
    ],
    tools,
  );
}

/**
 * Whether these are a public key of P-256 as SubjectPublicKeyInfo (RFC 5480 2), its point not compressed. They stand in a certificate as they are, so
 * nothing else may be in them.
 */
export function isP256Key(octets: Uint8Array): boolean {
  return octets.length === p256Front.length + 65 && p256Front.every((octet, index) => octets[index] === octet) && octets[26] === 4;
}

/** Whether a certificate is to be renewed: two thirds of its life are over. Times in ms since the epoch. */
export function isRenewalDue(from: number, until: number, now: number): boolean {
  return now >= until - (until - from) / 3;
}

const p256Front = sequence(
  sequence(identifier("1.2.840.10045.2.1"), identifier("1.2.840.10045.3.1.7")),
  bitString(new Uint8Array(65)),
).subarray(0, 26);
const ecdsaWithSha256 = sequence(identifier("1.2.840.10045.4.3.2"));

type Body = CertificateOptions & {
  readonly authority: AuthorityName;
  readonly subject: string;
  readonly publicKey: Uint8Array;
  readonly days: number;
};

function signed(body: Body, extensions: readonly Uint8Array[], { sign }: CertificateTools): Certificate {
  const { authority, subject, publicKey, now, serial, days } = body;
  const until = now + days * dayMs;
  const toSign = sequence(
    value(0xa0, smallInteger(2)),
    serialNumber(serial),
    ecdsaWithSha256,
    commonName(authority.name),
    sequence(moment(now - backdatedMs), moment(until)),
    commonName(subject),
    publicKey,
    value(0xa3, sequence(...extensions)),
  );
  return { der: sequence(toSign, ecdsaWithSha256, bitString(sign(toSign))), until };
}

function commonName(name: string): Uint8Array {
  return sequence(setOf(sequence(identifier("2.5.4.3"), utf8(ascii(name)))));
}

export function extension(id: string, content: Uint8Array, isCritical = false): Uint8Array {
  return sequence(identifier(id), ...(isCritical ? [yes] : []), octetString(content));
}

/** RFC 7093 2, method 1: the leftmost 160 bits of the hash of the key. */
function keyIdOf(publicKey: Uint8Array, { sha256 }: CertificateTools): Uint8Array {
  return sha256(publicKey.subarray(26)).subarray(0, 20);
}

/** RFC 5280 4.2.1.6: an address as octets, a name as it is. TLS of the cells' runtime takes no address for a name. */
export function alternativeName(address: string): Uint8Array {
  const octets = parseIpv4(address) ?? parseIpv6(address)?.flatMap((group) => [group >> 8, group & 0xff]);
  if (octets !== undefined) return value(0x87, Uint8Array.from(octets));
  if (!/^[0-9A-Za-z](?:[0-9A-Za-z.-]{0,252}[0-9A-Za-z])?$/.test(address)) throw new RangeError(`${address} is no address`);
  return value(0x82, ascii(address));
}
