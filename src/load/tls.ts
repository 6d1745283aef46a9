import { isIP } from "node:net";
import { createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import type { LoadTarget } from "./engine.ts";

/** TLS as a target wants it; all PEM. */
export interface TlsOptions {
  /** Certificates that may vouch for the target, in place of the system's. */
  ca?: string | undefined;
  /** The client's own. */
  cert?: string | undefined;
  key?: string | undefined;
  /** New connections take up the last session that the target offered. Default: whole handshakes. */
  resume?: boolean | undefined;
}

/** What the TLS connections of one engine share. */
export interface TlsWire {
  /** Made once, so that certificates are not loaded for each connection. */
  context: SecureContext;
  /** The name asked for (SNI, RFC 6066: none for an address; certificates are then checked against the address). */
  servername: string;
  resume: boolean;
  /** The last session that the target offered. */
  session: Buffer | undefined;
  /** TLS was established `tls_us` after TCP was. */
  secured(tls_us: number, reused: boolean, protocol: string, cipher: string): void;
}

/**
 * null: the target is not https. Throws RangeError, without anything of them, when certificate or key cannot be used.
 */
export function createTlsWire({ protocol, hostname, tls = {} }: LoadTarget, secured: TlsWire["secured"]): TlsWire | null {
  if (protocol !== "https:") return null;
  const host = hostname.replace(/^\[|\]$/g, "");
  const { ca, cert, key, resume = false } = tls;
  return {
    context: contextOf({ ca, cert, key }),
    servername: isIP(host) ? "" : host,
    resume,
    session: undefined,
    secured,
  };
}

function contextOf(given: Pick<TlsOptions, "ca" | "cert" | "key">): SecureContext {
  try {
    return createSecureContext(given);
  } catch (error) {
    const { code, reason } = error as NodeJS.ErrnoException & { reason?: string };
    throw new RangeError(`the TLS certificates or the key cannot be used: ${contextFailure(code ?? "", reason)}`);
  }
}

function contextFailure(code: string, reason: string | undefined): string {
  if (code === "ERR_OSSL_X509_KEY_VALUES_MISMATCH") return "the key is not that of the certificate";
  if (/PASSWORD|PASSPHRASE|INTERRUPTED/.test(code)) return "the key is encrypted; give it without a passphrase";
  return reason ?? (code === "" ? "they are not PEM that OpenSSL reads" : code);
}

/** Counts an established connection's handshake, and keeps the sessions that come for those that follow. */
export function tellSecured(wire: TlsWire, socket: TLSSocket, tls_us: number): void {
  wire.secured(tls_us, socket.isSessionReused(), socket.getProtocol() ?? "unknown", socket.getCipher().standardName);
}

export function keepSessions(wire: TlsWire, socket: TLSSocket): void {
  if (wire.resume) socket.on("session", (session: Buffer) => (wire.session = session));
}
