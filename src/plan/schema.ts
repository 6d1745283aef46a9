import { z } from "zod";
import { basicAuthorization, withoutCredentials } from "./credentials.ts";
import { NODE_ID_PATTERN } from "./ids.ts";
import { pinnedAddress } from "./pinned.ts";

/** What the schema knows of an option besides its type and default. */
export interface OptionMeta {
  description: string;
  /** Completes "expected ...". */
  expected: string;
  /** In words, where the option is a quantity. */
  unit?: string;
  /** Its value is never repeated in a message. */
  secret?: true;
}

/** What a refinement says of its failure (`params` of a custom issue). */
export interface Refusal {
  expected: string;
  hint?: string;
}

/** The meta data of every option's schema: beside type and default, so that there is one source of all of them. */
export const optionMeta = z.registry<OptionMeta>();

function option<T extends z.ZodType>(meta: OptionMeta, schema: T): T {
  const described = schema.describe(meta.description);
  optionMeta.add(described, meta);
  return described;
}

const refusal = (params: Refusal) => ({ params: { ...params } });

/** Slots that one test may have: every product with them stays far inside the exact doubles. */
export const MAX_SLOTS = 1_000_000_000_000;
const MAX_RATE_RPS = 10_000_000;
const MAX_DURATION_S = 366 * 86_400;
const DAY_MS = 86_400_000;

/** RFC 9110 token. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** What HTTP/1.1 carries in a field value: visible ASCII, space, tab and Latin-1; so no CR, LF or NUL. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** They say where a request ends and whether its connection lives on: that is for the load generator to decide. */
const RESERVED_HEADERS = new Set([
  "connection",
  "content-length",
  "expect",
  "keep-alive",
  "proxy-connection",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

function urlOf(text: string): URL | null {
  return URL.canParse(text) ? new URL(text) : null;
}

const url = z
  .string()
  .refine((text) => ["http:", "https:"].includes(urlOf(text)?.protocol ?? ""))
  .refine((text) => urlOf(text)?.port !== "0", refusal({ expected: "a port from 1 to 65535" }))
  .overwrite((text) => {
    const parsed = urlOf(text);
    if (parsed === null) return text;
    parsed.hash = "";
    return parsed.href;
  });

const headerName = z
  .string()
  .regex(TOKEN)
  .refine(
    (name) => !RESERVED_HEADERS.has(name.toLowerCase()),
    refusal({
      expected: "to be left out",
      hint: "the load generator sets it: it says where a request ends and whether its connection lives on",
    }),
  );

const headers = z
  .record(
    headerName,
    option(
      {
        description: "One header's value.",
        expected: "text of printable Latin-1 characters, without line breaks",
        secret: true,
      },
      z.string().regex(FIELD_VALUE),
    ),
  )
  .refine(
    (fields) => new Set(Object.keys(fields).map((name) => name.toLowerCase())).size === Object.keys(fields).length,
    refusal({ expected: "each header once (upper and lower case are the same)" }),
  );

/** A block between PEM's own lines; whether it holds what it says is for the TLS library to see. */
const PEM = /-----BEGIN [A-Z0-9 ]+-----[\s\S]+-----END [A-Z0-9 ]+-----/;

function pem(description: string, expected: string) {
  return option({ description, expected, secret: true }, z.string().regex(PEM).optional());
}

const tls = z
  .strictObject({
    ca: pem("Certificates (PEM) that may vouch for the target, in place of the system's.", "text with certificates in PEM"),
    cert: pem("The client's certificate (PEM), with those that vouch for it.", "text with a certificate in PEM"),
    key: pem("The key (PEM, not encrypted) of the client's certificate.", "text with a key in PEM"),
    resume: option(
      {
        description: "Take up an earlier TLS session on a new connection, where the target offers it (default: whole handshakes).",
        expected: "true or false",
      },
      z.boolean().optional(),
    ),
  })
  .refine(({ cert, key }) => key !== undefined || cert === undefined, {
    path: ["key"],
    ...refusal({ expected: "a key together with the certificate" }),
  })
  .refine(({ cert, key }) => cert !== undefined || key === undefined, {
    path: ["cert"],
    ...refusal({ expected: "a certificate together with the key" }),
  });

const pinned = z.string().refine((text) => pinnedAddress(text) !== null);

const target = z.strictObject({
  url: option(
    {
      description:
        "The address that is hit: http or https; a fragment (#...) is ignored; user:password@ becomes an Authorization header. " +
        "{{counter}} and {{random_id}} in it, in headers and in the body are replaced for each request.",
      expected: "an http:// or https:// URL",
    },
    url,
  ),
  method: option(
    { description: "The HTTP method; written in upper case.", expected: "an HTTP method other than CONNECT" },
    z
      .string()
      .regex(TOKEN)
      .toUpperCase()
      .refine((method) => method !== "CONNECT")
      .default("GET"),
  ),
  headers: option(
    { description: "Header fields of every request; Host may be among them.", expected: "an object of name: value", secret: true },
    headers.default({}),
  ),
  body: option(
    { description: "The body of every request, sent as UTF-8.", expected: "text", secret: true },
    z.string().nullable().default(null),
  ),
  timeout_ms: option(
    {
      description: "How long a request may take, connect included, to its last byte.",
      expected: "a whole number from 1 to 3,600,000",
      unit: "milliseconds",
    },
    z.int().min(1).max(3_600_000).default(30_000),
  ),
  insecure: option(
    { description: "https: accept any certificate.", expected: "true or false" },
    z.boolean().default(false),
  ),
  tls: option(
    { description: "https: whom to trust and who the client is.", expected: "an object with ca, cert and key (PEM), resume" },
    tls.optional(),
  ),
  resolve: option(
    {
      description: "HOST:IP, the address at which the URL's host is hit, whatever its name resolves to.",
      expected: "HOST:IP, as example.test:127.0.0.1",
    },
    pinned.optional(),
  ),
  unix_socket: option(
    {
      description: "The path of a unix socket of the driver's machine through which the target is hit, whatever the URL's host and port.",
      expected: "a path of 1 to 107 characters",
    },
    z
      .string()
      .regex(/^[^\0]{1,107}$/)
      .optional(),
  ),
});

// Other mistakes may have been found already: the URL need not be one.
const authorizationIn = (parsed: URL | null) => (parsed === null ? null : basicAuthorization(parsed));
const isAuthorization = (name: string) => name.toLowerCase() === "authorization";

/** As in a URL: lower case, an IPv6 address without its brackets. */
const hostOf = (parsed: URL | null) => parsed?.hostname.replace(/^\[|\]$/g, "") ?? null;

/** User name and password leave the URL for a header: it is shown to people, kept, and repeated in messages. */
const targetWithoutCredentials = target
  .refine(
    ({ url, headers }) => authorizationIn(urlOf(url)) === null || !Object.keys(headers).some(isAuthorization),
    { path: ["url"], ...refusal({ expected: "either a user name and password in the URL or an Authorization header" }) },
  )
  .refine(
    ({ url, resolve }) => resolve === undefined || pinnedAddress(resolve)?.hostname === hostOf(urlOf(url)),
    { path: ["resolve"], ...refusal({ expected: "the URL's own host before the address" }) },
  )
  .refine(({ resolve, unix_socket }) => resolve === undefined || unix_socket === undefined, {
    path: ["unix_socket"],
    ...refusal({ expected: "either resolve or unix_socket" }),
  })
  .overwrite((given) => {
    const parsed = urlOf(given.url);
    const authorization = authorizationIn(parsed);
    if (parsed === null || authorization === null) return given;
    return { ...given, url: withoutCredentials(parsed), headers: { ...given.headers, Authorization: authorization } };
  });

const rate = z
  .number()
  .min(1e-6)
  .max(MAX_RATE_RPS)
  .overwrite((rps) => Math.round(rps * 1e6) / 1e6);
const count = z.int().min(1).max(MAX_SLOTS);

/**
 * The plan: the one source of every option's type, default, unit, description and message. Use `parsePlan`: it also
 * holds the rules between options. Values are kept as written but rounded to what is computed with: rates to integer
 * micro-rps, delays to integer us, durations to integer ms.
 */
export const planSchema = z.strictObject({
  name: option(
    { description: "What the test is called in lists and reports.", expected: "text of 1 to 200 characters" },
    z.string().min(1).max(200).optional(),
  ),
  target: option({ description: "What is hit.", expected: "an object with a url" }, targetWithoutCredentials),
  type: option(
    {
      description:
        "avalanche: closed, the next request goes out when the answer to the one before it came; " +
        "tsunami: open, requests go out at their times whatever the target does.",
      expected: '"avalanche" or "tsunami"',
    },
    z
      .string()
      .toLowerCase()
      .pipe(z.enum(["avalanche", "tsunami"]))
      .optional(),
  ),
  rate_rps: option(
    {
      description: "Requests per second of each driver: tsunami holds it, avalanche never exceeds it.",
      expected: "a number above 0",
      unit: "requests per second and driver",
    },
    rate.optional(),
  ),
  total_rate_rps: option(
    {
      description: "Requests per second of all drivers together, instead of rate_rps.",
      expected: "a number above 0",
      unit: "requests per second of all drivers",
    },
    rate.optional(),
  ),
  delay_ms: option(
    {
      description: "Tsunami: the time between two requests of one driver; 0 makes it an avalanche.",
      expected: "a number, 0 or at least 0.001",
      unit: "milliseconds, down to 0.001",
    },
    z
      .number()
      .min(0)
      .max(DAY_MS)
      .refine((ms) => ms === 0 || ms >= 0.001)
      .overwrite((ms) => Math.round(ms * 1e3) / 1e3)
      .optional(),
  ),
  requests: option(
    { description: "How many requests each driver sends.", expected: "a whole number above 0", unit: "requests per driver" },
    count.optional(),
  ),
  total_requests: option(
    {
      description: "How many requests all drivers send together, instead of requests.",
      expected: "a whole number above 0",
      unit: "requests of all drivers",
    },
    count.optional(),
  ),
  duration_s: option(
    {
      description: "How long requests are sent; with requests too: whichever ends first; with neither: 10.",
      expected: "a number of at least 0.001",
      unit: "seconds, down to 0.001",
    },
    z
      .number()
      .min(0.001)
      .max(MAX_DURATION_S)
      .overwrite((s) => Math.round(s * 1e3) / 1e3)
      .optional(),
  ),
  connections: option(
    {
      description: "Connections that each driver may hold open.",
      expected: "a whole number from 1 to 100,000",
      unit: "connections per driver",
    },
    z.int().min(1).max(100_000).default(64),
  ),
  workers: option(
    { description: "Load threads of each driver (default: its own choice).", expected: "a whole number from 1 to 1,024" },
    z.int().min(1).max(1_024).optional(),
  ),
  pacing: option(
    {
      description: "precise holds times exactly and burns a core, timer saves the core, auto decides.",
      expected: '"auto", "precise" or "timer"',
    },
    z.enum(["auto", "precise", "timer"]).default("auto"),
  ),
  backlog: option(
    {
      description: "Due requests that may wait for a connection; when full the newest is dropped (default: by rate).",
      expected: "a whole number from 0 to 10,000,000",
      unit: "requests per driver",
    },
    z.int().min(0).max(10_000_000).optional(),
  ),
  warmup_s: option(
    {
      description: "Load before the test begins, counted apart.",
      expected: "a number of at least 0",
      unit: "seconds, down to 0.001",
    },
    z
      .number()
      .min(0)
      .max(MAX_DURATION_S)
      .overwrite((s) => Math.round(s * 1e3) / 1e3)
      .optional(),
  ),
  lease_ms: option(
    {
      description: "How long drivers go on without a sign of life from the orchestrator.",
      expected: "a whole number from 1,000 to 86,400,000",
      unit: "milliseconds",
    },
    z.int().min(1_000).max(DAY_MS).default(30_000),
  ),
  drivers: option(
    {
      description: "How many drivers, or which ones by node id (default: all that are alive).",
      expected: "a whole number from 1 to 10,000, or a list of different node ids",
    },
    z
      .union([
        z.int().min(1).max(10_000),
        z
          .array(
            option(
              { description: "A driver's node id.", expected: "a node id (1 to 128 of A-Z a-z 0-9 . _ : -)" },
              z.string().regex(NODE_ID_PATTERN),
            ),
          )
          .min(1)
          .max(10_000)
          .refine((ids) => new Set(ids).size === ids.length),
      ])
      .optional(),
  ),
  thresholds: option(
    {
      description: 'What the test must hold to pass, as "p99 < 200ms".',
      expected: 'expressions as "p99 < 200ms"',
    },
    z.array(z.string().regex(/\S/)).max(1_000).optional(),
  ),
  on_driver_loss: option(
    {
      description: "A driver dies: its requests move to the others, are given up, or the test stops.",
      expected: '"redistribute", "continue" or "stop"',
    },
    z.enum(["redistribute", "continue", "stop"]).default("redistribute"),
  ),
});

/** Keys that a later version will know. */
export const RESERVED_KEYS: Readonly<Record<string, string>> = {
  steps: "weighted requests",
  shape: "load shapes",
  groups: "named groups of drivers",
};
