/** How a phone reaches the system. */
export type PhoneTransport = "UDP" | "TCP" | "TLS" | "WS";

/** What a phone must know to register. */
export interface Account {
  readonly user: string;
  readonly domain: string;
  readonly password: string;
  readonly transport: PhoneTransport;
  /** Where its registrar and outbound proxy listens. */
  readonly server: { readonly host: string; readonly port: number };
  /** PEM file of the certificate authority to trust, for TLS. */
  readonly caFile: string;
  /** DTLS-SRTP with ICE, as a browser wants it, instead of plain RTP. */
  readonly webRtc?: boolean;
}

export function addressOfRecord(account: Account): string {
  return `sip:${account.user}@${account.domain}`;
}

/** The registrar said no: what it said. */
export class RegistrationRefused extends Error {
  readonly status: number;

  constructor(status: number, text: string) {
    super(`REGISTER was refused: ${text}`);
    this.status = status;
  }
}

/**
 * A real telephone program with one account and one call at a time. Every wait has a bound and rejects with what the program said last.
 */
export interface Phone {
  /** The program, for the names of tests and messages. */
  readonly make: string;
  readonly account: Account;
  /** Whether the other side can expect media of it. */
  readonly sendsMedia: boolean;
  /** Resolves with the registrar's 200, rejects with {@link RegistrationRefused}. */
  register(): Promise<void>;
  /** Sends an INVITE (after a challenge with credentials); does not wait for an answer. */
  call(uri: string): Promise<void>;
  /** Resolves when the phone that calls has been told that the other side rings. */
  ringback(): Promise<void>;
  /** Resolves with the caller's URI when somebody calls. */
  ringing(): Promise<string>;
  /** Answers the call that rings with 200. */
  answer(): Promise<void>;
  /** Resolves when the call is set up: 200 seen by the caller, ACK by the callee (or what the program takes for it). */
  established(): Promise<void>;
  /** Resolves when media of the other side arrives. */
  media(): Promise<void>;
  /** Ends the call that is set up (BYE), or gives up the one that is not (CANCEL, or a refusal). */
  hangup(): Promise<void>;
  /** Resolves when the call is over, with what the program gives as the reason. */
  ended(): Promise<string>;
  /** Ends the program and removes what it left on disk. */
  stop(): Promise<void>;
}
