/** What a request's text may hold, each replaced anew for every request. */
const PLACEHOLDER = /\{\{(counter|random_id)\}\}/;
/** In a path a URL's own encoding has taken hold of the braces. */
const ENCODED = /%7B%7B(counter|random_id)%7D%7D/gi;
const RANDOM_ID = "random_id";
const RANDOM_ID_LENGTH = 32;
/** A double as an integer of up to 2^53, with its sign. */
const LONGEST_NUMBER = 17;

/** A request that differs each time. */
export interface RequestTemplate {
  /** The request due at `due_us`, whole. The bytes hold until the next call. */
  render(due_us: number): Buffer;
  /** The bytes given last are still being written: they hold for good. */
  keep(): void;
}

/** Where the values of one request come from. */
export interface TemplateValues {
  /** The number of the request due at `due_us`; asked once for each request. */
  counter: (due_us: number) => number;
  /** 32 bits. */
  random: () => number;
}

export function isTemplate(text: string): boolean {
  return PLACEHOLDER.test(text);
}

/** A path and query as a URL has them, with the placeholders as they were written. */
export function templatePath(path: string): string {
  return path.replace(ENCODED, (_, name: string) => `{{${name.toLowerCase()}}}`);
}

/** The text with values that stand for any: as long as it need be, and of the same form. */
export function exampleOf(text: string): string {
  return text.replace(/\{\{counter\}\}/g, "0").replace(/\{\{random_id\}\}/g, "0".repeat(RANDOM_ID_LENGTH));
}

/** Parts of a text in their order; a placeholder by its name. */
type Part = { bytes: Buffer } | { name: string };

function partsOf(text: string): Part[] {
  return text.split(PLACEHOLDER).map((piece, i) => (i % 2 === 0 ? { bytes: Buffer.from(piece, "utf8") } : { name: piece }));
}

/**
 * A request from its head (its lines, without the empty one) and body, either of which holds placeholders:
 *
 *     {{counter}}      the request's number, another one for every request of the test, whichever node sends it
 *     {{random_id}}    128 random bits as 32 hexadecimal digits
 *
 * Both stay the same within a request. With a body the Content-Length is added here, as it may differ too.
 */
export function createTemplate(head: string, body: string | null, values: TemplateValues): RequestTemplate {
  const head_parts = partsOf(head);
  const body_parts = body === null ? [] : partsOf(body);
  const all = [...head_parts, ...body_parts];
  const dynamic = all.filter((part) => "name" in part).length;
  const fixed = all.reduce((sum, part) => sum + ("name" in part ? 0 : part.bytes.length), 0);
  const size = fixed + dynamic * Math.max(RANDOM_ID_LENGTH, LONGEST_NUMBER) + "\r\nContent-Length: \r\n\r\n".length + LONGEST_NUMBER;
  const drawn = all.some((part) => "name" in part && part.name === RANDOM_ID);
  let buffer = Buffer.allocUnsafeSlow(size);
  let at = 0;

  const text = (value: string): void => void (at += buffer.write(value, at, "latin1"));

  function put(parts: readonly Part[], counter: string, random_id: string): void {
    for (const part of parts) {
      if ("name" in part) text(part.name === RANDOM_ID ? random_id : counter);
      else at += part.bytes.copy(buffer, at);
    }
  }

  function lengthOf(parts: readonly Part[], counter: string): number {
    let length = 0;
    for (const part of parts) {
      length += "name" in part ? (part.name === RANDOM_ID ? RANDOM_ID_LENGTH : counter.length) : part.bytes.length;
    }
    return length;
  }

  return {
    render(due_us) {
      const counter = String(values.counter(due_us));
      const random_id = drawn ? hex(values.random()) + hex(values.random()) + hex(values.random()) + hex(values.random()) : "";
      at = 0;
      put(head_parts, counter, random_id);
      if (body !== null) text(`\r\nContent-Length: ${lengthOf(body_parts, counter)}`);
      text("\r\n\r\n");
      put(body_parts, counter, random_id);
      return buffer.subarray(0, at);
    },
    keep() {
      buffer = Buffer.allocUnsafeSlow(size);
    },
  };
}

function hex(bits: number): string {
  return (bits >>> 0).toString(16).padStart(8, "0");
}
