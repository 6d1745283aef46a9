import type { FailureKind } from "../metrics/snapshot.ts";

interface Failure {
  kind: FailureKind;
  /** The same for the same cause: no port, address or number that differs from one connection to the next. */
  message: string;
}

/** Why a connection could not be established. `handshaking`: TCP was, TLS was not. */
export function connectFailure(error: NodeJS.ErrnoException, handshaking: boolean): Failure {
  const code = error.code ?? "";
  switch (code) {
    case "ECONNREFUSED":
      return { kind: "connect_refused", message: "connection refused" };
    case "ENOENT":
      return { kind: "connect_refused", message: "there is no such socket" };
    case "ETIMEDOUT":
      return { kind: "connect_timeout", message: "no connection within the system's time limit" };
    case "ECONNRESET":
      // Node gives a FIN during the handshake this code as well.
      if (handshaking && error.syscall === undefined) return { kind: "tls", message: "closed during the TLS handshake" };
      return { kind: "connect_reset", message: "connection reset while connecting" };
    case "EPIPE":
    case "ECONNABORTED":
      return { kind: "connect_reset", message: "connection reset while connecting" };
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return { kind: "dns", message: `name not resolved (${code})` };
    default:
      if (handshaking) return { kind: "tls", message: tlsMessage(error) };
      return { kind: "other", message: systemMessage(error) };
  }
}

/** Why an established connection broke. `reused`: it had served requests, and nothing of this answer had come. */
export function streamFailure(error: NodeJS.ErrnoException, reused: boolean): Failure {
  switch (error.code) {
    case "ECONNRESET":
    case "EPIPE":
    case "ECONNABORTED":
      return reused
        ? { kind: "reset_on_reuse", message: "reset before the answer, on a connection used before" }
        : { kind: "reset", message: "connection reset" };
    default:
      // With TLS 1.3 a client's certificate is judged after its handshake has ended.
      if (error.code?.startsWith("ERR_SSL")) return { kind: "tls", message: tlsMessage(error) };
      return { kind: "other", message: systemMessage(error) };
  }
}

const SYSTEM_MESSAGES: Record<string, string> = {
  EADDRNOTAVAIL: "no free local port",
  EMFILE: "too many open files in this process",
  ENFILE: "too many open files in this system",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the network",
  EACCES: "not permitted to connect",
  ETIMEDOUT: "connection timed out by the system",
};

function systemMessage({ code, name }: NodeJS.ErrnoException): string {
  if (code === undefined) return name;
  const text = SYSTEM_MESSAGES[code];
  return text === undefined ? code : `${text} (${code})`;
}

const TLS_MESSAGES: readonly [RegExp, string][] = [
  [/^(DEPTH_ZERO_)?SELF_SIGNED_CERT/, "self-signed certificate: use --ca FILE or --insecure"],
  [/^UNABLE_TO_(GET_ISSUER_CERT|VERIFY_LEAF)/, "certificate of an unknown issuer: use --ca FILE or --insecure"],
  [/^CERT_HAS_EXPIRED$/, "certificate has expired: renew it, or use --insecure"],
  [/ALERT_CERTIFICATE_REQUIRED$/, "the target asks for a client certificate: use --cert FILE --key FILE"],
  [/ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_\w+)$/, "the target refused the client certificate"],
  [/WRONG_VERSION_NUMBER$|PACKET_LENGTH_TOO_LONG$/, "the target does not speak TLS on this port"],
  [/PROTOCOL_VERSION$|UNSUPPORTED_PROTOCOL$/, "no TLS version in common"],
  [/HANDSHAKE_FAILURE$|NO_SHARED_CIPHER$/, "the target refused the handshake: no cipher in common, or it asks for a client certificate"],
];

/** OpenSSL's own texts hold addresses of its memory; its codes and reasons do not. */
function tlsMessage(error: NodeJS.ErrnoException & { reason?: string }): string {
  if (error.code === "ERR_TLS_CERT_ALTNAME_INVALID") return "certificate is not for this name";
  const code = error.code ?? "";
  const text = TLS_MESSAGES.find(([pattern]) => pattern.test(code))?.[1];
  if (text !== undefined) return `${text} (${code})`;
  if (code.startsWith("ERR_SSL")) return `TLS failed (${code})`;
  return code === "" ? "TLS handshake failed" : `certificate refused (${code}): use --ca FILE or --insecure`;
}
