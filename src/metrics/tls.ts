import { decodeInto, encodeHistogram, type EncodedHistogram } from "./codec.ts";
import { createHistogram, record } from "./histogram.ts";

/** What was negotiated in the TLS handshakes of a node, or of several. */
export interface TlsSummary {
  /** As TLSv1.3; different ones one after the other. */
  protocol: string;
  /** IANA's name, as TLS_AES_256_GCM_SHA384; different ones one after the other. */
  cipher: string;
  /** Handshakes done, and those of them that took up an earlier session. */
  handshakes: number;
  resumed: number;
}

export interface TlsRecord extends TlsSummary {
  /** From TCP established to TLS established, of every handshake done. */
  duration: EncodedHistogram;
}

const SEPARATOR = ", ";
/** A target that negotiates anew each time makes no longer text than this. */
const MAX_NAMES = 8;

/** Counts handshakes; `snapshot` is null before the first one. */
export function createTlsRecorder() {
  const duration = createHistogram();
  let protocol = "";
  let cipher = "";
  let resumed = 0;
  return {
    secured(tls_us: number, reused: boolean, version: string, suite: string): void {
      record(duration, tls_us);
      if (reused) resumed += 1;
      if (protocol !== version) protocol = union(protocol, version);
      if (cipher !== suite) cipher = union(cipher, suite);
    },
    snapshot(): TlsRecord | null {
      const handshakes = duration.count;
      return handshakes === 0 ? null : { protocol, cipher, handshakes, resumed, duration: encodeHistogram(duration) };
    },
  };
}

/** What several measured as if one had; null: nobody did a handshake. */
export function mergeTls(parts: readonly (TlsRecord | null | undefined)[]): TlsRecord | null {
  const known = parts.filter((part) => part !== null && part !== undefined);
  if (known.length === 0) return null;
  const duration = createHistogram();
  const merged: TlsSummary = { protocol: "", cipher: "", handshakes: 0, resumed: 0 };
  for (const part of known) {
    merged.protocol = union(merged.protocol, part.protocol);
    merged.cipher = union(merged.cipher, part.cipher);
    merged.handshakes += part.handshakes;
    merged.resumed += part.resumed;
    decodeInto(duration, part.duration);
  }
  return { ...merged, duration: encodeHistogram(duration) };
}

function union(names: string, more: string): string {
  const all = [...names.split(SEPARATOR), ...more.split(SEPARATOR)].filter((name) => name !== "");
  return [...new Set(all)].slice(0, MAX_NAMES).join(SEPARATOR);
}
