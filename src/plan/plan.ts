import { z } from "zod";
import { grouped } from "./grouped.ts";
import { inWords, nearest, PlanError, problemOf, secretInWords, type Problem } from "./problem.ts";
import { MAX_SLOTS, optionMeta, planSchema, RESERVED_KEYS, type OptionMeta, type Refusal } from "./schema.ts";

/** A plan as written: flags, a JSON or TypeScript file, a web form. */
export type PlanInput = z.input<typeof planSchema>;

/**
 * A plan that can be run: validated, defaults applied, `type` decided, at least one of requests, total_requests and
 * duration_s there. It is a valid PlanInput too, and parsing it again changes nothing.
 */
export type Plan = Omit<z.output<typeof planSchema>, "type"> & { type: "avalanche" | "tsunami" };

const DEFAULT_DURATION_S = 10;

/** Integer micro-rps of a rate. */
export function rateUrps(rate_rps: number): number {
  return Math.round(rate_rps * 1e6);
}

/** Integer us of a delay. */
export function delayUs(delay_ms: number): number {
  return Math.round(delay_ms * 1e3);
}

/** Integer ms of a duration. */
export function durationMs(duration_s: number): number {
  return Math.round(duration_s * 1e3);
}

/** Validates whatever was given and applies the defaults. Throws PlanError `bad_plan` with all problems at once. */
export function parsePlan(input: unknown): Plan {
  const parsed = planSchema.safeParse(input);
  const problems = parsed.success ? [] : distinct(parsed.error.issues.flatMap((issue) => problemsOf(issue, input)));
  if (isRecord(input)) problems.push(...conflicts(input, new Set(problems.map((problem) => problem.option))));
  if (!parsed.success || problems.length > 0) throw new PlanError(problems);
  return decided(parsed.data);
}

/** What is left open by the one who wrote the plan: the type, and when it ends. */
function decided(parsed: z.output<typeof planSchema>): Plan {
  const { delay_ms, ...plan } = parsed;
  const delayed = delay_ms !== undefined && delay_ms > 0;
  const rated = plan.rate_rps !== undefined || plan.total_rate_rps !== undefined;
  const tsunami = delayed || (rated && plan.type !== "avalanche");
  const endless = plan.requests === undefined && plan.total_requests === undefined && plan.duration_s === undefined;
  return {
    ...plan,
    type: tsunami ? "tsunami" : "avalanche",
    ...(delayed && { delay_ms }),
    ...(endless && { duration_s: DEFAULT_DURATION_S }),
  };
}

/** The rules between options. `bad`: options that are wrong in themselves, of which nothing more is said. */
function conflicts(input: Record<string, unknown>, bad: ReadonlySet<string>): Problem[] {
  const problems: Problem[] = [];
  const given = (option: string) => input[option] !== undefined;
  const number = (option: string): number | null => {
    const value = input[option];
    return typeof value === "number" && !bad.has(option) ? value : null;
  };
  const apart = (first: string, second: string) => {
    if (given(first) && given(second)) {
      problems.push(problemOf({ option: second, expected: `either ${first} or ${second}`, given: "both" }));
    }
  };
  apart("rate_rps", "total_rate_rps");
  apart("rate_rps", "delay_ms");
  apart("total_rate_rps", "delay_ms");
  apart("requests", "total_requests");

  const type = typeof input["type"] === "string" ? input["type"].toLowerCase() : null;
  const delay_ms = number("delay_ms");
  if (type === "tsunami" && !given("delay_ms") && !given("rate_rps") && !given("total_rate_rps")) {
    problems.push(problemOf({ option: "type", expected: "a tsunami to have a rate_rps or a delay_ms", given: "neither" }));
  }
  if (type === "avalanche" && delay_ms !== null && delay_ms > 0) {
    problems.push(
      problemOf({
        option: "delay_ms",
        expected: "to be left out of an avalanche",
        given: inWords(delay_ms),
        hint: 'use type "tsunami"',
      }),
    );
  }
  const duration_s = number("duration_s");
  if (duration_s !== null && !given("requests") && !given("total_requests")) {
    const rate_rps = number("rate_rps") ?? number("total_rate_rps") ?? (delay_ms ? 1e3 / delay_ms : 0);
    if (type !== "avalanche" && rate_rps * duration_s > MAX_SLOTS) {
      problems.push(
        problemOf({
          option: "duration_s",
          expected: `at most ${grouped(MAX_SLOTS)} requests in all`,
          given: grouped(Math.round(rate_rps * duration_s)),
        }),
      );
    }
  }
  return problems;
}

function problemsOf(issue: z.core.$ZodIssue, input: unknown): Problem[] {
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(issue.path, key, input));
  const option = optionAt(issue.path);
  const meta = metaAt(issue.path);
  if (issue.code === "invalid_key") {
    const name = problemOf({
      option,
      expected: "a header name (letters, digits and - without spaces)",
      given: inWords(String(issue.path.at(-1))),
    });
    const [inner] = issue.issues;
    const refused = inner?.code === "custom" ? refusalOf(inner) : null;
    return [refused === null ? name : problemOf({ option, ...refused, given: secretInWords(valueAt(input, issue.path)) })];
  }
  const value = valueAt(input, issue.path);
  const given = meta.secret ? secretInWords(value) : inWords(value);
  const refused = issue.code === "custom" ? refusalOf(issue) : null;
  return [problemOf({ option, expected: meta.expected, given, unit: meta.unit, ...limitOf(issue, value), ...refused })];
}

function refusalOf(issue: z.core.$ZodIssueCustom): Refusal | null {
  return (issue.params as Refusal | undefined) ?? null;
}

/** A number of the right kind that is beyond a limit is told the limit. */
function limitOf(issue: z.core.$ZodIssue, value: unknown): { expected: string } | null {
  if (typeof value !== "number" || value <= 0 || !Number.isFinite(value)) return null;
  if (issue.code === "too_big") return { expected: `at most ${grouped(Number(issue.maximum))}` };
  if (issue.code === "too_small") return { expected: `at least ${grouped(Number(issue.minimum))}` };
  return null;
}

function unknownKey(path: PropertyKey[], key: string, input: unknown): Problem {
  const option = optionAt([...path, key]);
  const reserved = path.length === 0 && Object.hasOwn(RESERVED_KEYS, key) ? RESERVED_KEYS[key] : undefined;
  if (reserved !== undefined) {
    return problemOf({
      option,
      expected: "to be left out",
      given: inWords(valueAt(input, [...path, key])),
      hint: `it is reserved for ${reserved}, which this version does not support`,
    });
  }
  const near = nearest(key, knownKeys(path));
  return problemOf({
    option,
    expected: "an option that a plan has",
    given: "an unknown one",
    hint: near === null ? `known here: ${knownKeys(path).join(", ")}` : `did you mean ${optionAt([...path, near])}?`,
  });
}

function knownKeys(path: PropertyKey[]): string[] {
  let schema: z.core.$ZodType | undefined = planSchema;
  for (const key of path) schema = childOf(schema, key);
  while (schema instanceof z.ZodDefault || schema instanceof z.ZodOptional) schema = schema.def.innerType;
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** The meta data of the deepest described schema on the way to a path. */
function metaAt(path: PropertyKey[]): OptionMeta {
  let meta: OptionMeta = { description: "", expected: "an object" };
  let schema: z.core.$ZodType | undefined = planSchema;
  for (const key of path) {
    schema = childOf(schema, key);
    if (schema === undefined) break;
    meta = optionMeta.get(schema) ?? meta;
  }
  return meta;
}

function childOf(schema: z.core.$ZodType | undefined, key: PropertyKey): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodOptional) return childOf(schema.def.innerType, key);
  if (schema instanceof z.ZodRecord) return schema.valueType;
  if (schema instanceof z.ZodArray) return schema.element;
  if (schema instanceof z.ZodUnion) return schema.options.map((one) => childOf(one, key)).find((child) => child !== undefined);
  if (!(schema instanceof z.ZodObject)) return undefined;
  const shape = schema.shape as Record<PropertyKey, z.core.$ZodType>;
  return Object.hasOwn(shape, key) ? shape[key] : undefined;
}

function valueAt(input: unknown, path: PropertyKey[]): unknown {
  let value = input;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

function optionAt(path: PropertyKey[]): string {
  let text = "";
  for (const key of path) text += typeof key === "number" ? `[${key}]` : (text === "" ? "" : ".") + String(key);
  return text === "" ? "plan" : text;
}

function distinct(problems: Problem[]): Problem[] {
  const seen = new Set<string>();
  return problems.filter(({ option }) => !seen.has(option) && seen.add(option));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
