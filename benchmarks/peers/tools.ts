// How each generator is told to do the same thing.
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

export const CONNECTIONS = 64;

/** `rate_rps` null: closed loop, as fast as the target answers. */
export interface Task {
  url: string;
  seconds: number;
  rate_rps: number | null;
  /** The URL is https: any certificate will do. */
  insecure?: boolean;
}

export interface Tool {
  name: string;
  /** Names of its program; the first that is found is used. */
  programs: string[];
  /** Its arguments, or null when it cannot do that. */
  arguments(task: Task): string[] | null;
  /** What it reads from its standard input. */
  input?(task: Task): string;
}

const onrush = (name: string, pacing: "timer" | "precise", closed: boolean): Tool => ({
  name,
  programs: [process.execPath],
  arguments: ({ url, seconds, rate_rps, insecure }) => {
    if (rate_rps === null && !closed) return null;
    const load = rate_rps === null ? [] : ["--rate", `${rate_rps}`];
    const shape = ["--duration", `${seconds}s`, "--connections", `${CONNECTIONS}`, "--pacing", pacing];
    const main = join(import.meta.dirname, "../../bin/onrush.js");
    const trust = insecure ? ["--insecure"] : [];
    return [main, "run", url, ...load, ...shape, ...trust, "--no-store", "--quiet", "--no-color"];
  },
});

const k6Script = ({ url, seconds, rate_rps, insecure = false }: Task): string => {
  const closed = { vus: CONNECTIONS, duration: `${seconds}s` };
  const scenario =
    rate_rps === null
      ? { executor: "constant-vus", ...closed }
      : {
          executor: "constant-arrival-rate",
          rate: rate_rps,
          timeUnit: "1s",
          duration: `${seconds}s`,
          preAllocatedVUs: CONNECTIONS,
          maxVUs: 2 * CONNECTIONS,
        };
  const options = JSON.stringify({ scenarios: { load: scenario }, discardResponseBodies: true, insecureSkipTLSVerify: insecure });
  return `import http from "k6/http";\nexport const options = ${options};\nexport default () => { http.get("${url}"); };\n`;
};

export const TOOLS: Tool[] = [
  {
    name: "wrk",
    programs: ["wrk"],
    arguments: ({ url, seconds, rate_rps }) =>
      rate_rps === null ? ["-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, url] : null,
  },
  {
    name: "wrk2",
    programs: ["wrk2"],
    arguments: ({ url, seconds, rate_rps }) =>
      rate_rps === null ? null : ["-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, `-R${rate_rps}`, url],
  },
  onrush("onrush", "timer", true),
  onrush("onrush --pacing precise", "precise", false),
  {
    name: "oha",
    programs: ["oha"],
    arguments: ({ url, seconds, rate_rps, insecure }) => {
      const rate = rate_rps === null ? [] : ["-q", `${rate_rps}`, "--latency-correction"];
      const trust = insecure ? ["--insecure"] : [];
      return ["--no-tui", "-c", `${CONNECTIONS}`, "-z", `${seconds}s`, ...rate, ...trust, url];
    },
  },
  {
    name: "autocannon",
    programs: ["autocannon"],
    arguments: ({ url, seconds, rate_rps }) => {
      const rate = rate_rps === null ? [] : ["-R", `${rate_rps}`];
      return ["-n", "-c", `${CONNECTIONS}`, "-d", `${seconds}`, ...rate, url];
    },
  },
  {
    name: "vegeta",
    programs: ["vegeta"],
    arguments: ({ seconds, rate_rps, insecure }) => {
      const trust = insecure ? ["-insecure"] : [];
      const closed = ["-rate=0", `-max-workers=${CONNECTIONS}`];
      const rate = rate_rps === null ? closed : [`-rate=${rate_rps}/1s`, `-max-connections=${CONNECTIONS}`];
      return ["attack", `-duration=${seconds}s`, `-connections=${CONNECTIONS}`, ...trust, ...rate, "-output=/dev/null"];
    },
    input: ({ url }) => `GET ${url}\n`,
  },
  {
    name: "hey",
    programs: ["hey"],
    arguments: ({ url, seconds, rate_rps }) => {
      const rate = rate_rps === null ? [] : ["-q", `${rate_rps / CONNECTIONS}`];
      return ["-z", `${seconds}s`, "-c", `${CONNECTIONS}`, "-cpus", "1", ...rate, url];
    },
  },
  {
    name: "k6",
    programs: ["k6"],
    arguments: () => ["run", "--quiet", "--no-usage-report", "-"],
    input: k6Script,
  },
];

/** Where its program lies: along PATH, and first in the folders that PEERS names. */
export function findProgram({ programs }: Tool): string | null {
  const folders = `${process.env.PEERS ?? ""}${delimiter}${process.env.PATH ?? ""}`.split(delimiter).filter(Boolean);
  for (const program of programs) {
    if (program.includes("/")) return program;
    const found = folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
    if (found !== undefined) return found;
  }
  return null;
}
