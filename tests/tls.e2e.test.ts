import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { AUTHORITY, CLIENT, SERVER } from "../src/load/testing/authority.ts";
import type { Report } from "../src/run/report-schema.ts";
import { startTarget, type Target } from "../src/target/target.ts";
import { onrush } from "./onrush-process.ts";

let folder = "";
let target: Target;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "onrush-tls-"));
  target = await startTarget({ tls: { ...SERVER, ca: AUTHORITY } });
  await Promise.all(Object.entries({ ca: AUTHORITY, ...CLIENT }).map(([name, text]) => writeFile(join(folder, name), text)));
});

afterAll(async () => {
  await target.close();
  await rm(folder, { recursive: true });
});

it("--ca, --cert, --key, --resolve: all requests arrive, and no report holds a secret", async () => {
  const path = join(folder, "report.json");
  const files = ["--ca", join(folder, "ca"), "--cert", join(folder, "cert"), "--key", join(folder, "key")];
  const url = `https://some.test:${target.port}/ping`;
  const run = onrush(["run", url, "--resolve", "some.test:127.0.0.1", ...files, "--requests", "100", "--connections", "8", "--no-store", "--report", path]);
  expect(await run.ended).toBe(0);
  expect(run.stdout()).toContain("TLSv1.3 with TLS_AES_256_GCM_SHA384, 8 handshakes");
  const text = await readFile(path, "utf8");
  const report = JSON.parse(text) as Report;
  expect(report.totals).toMatchObject({ sent: 100, ok: 100 });
  expect(report.tls).toEqual({ protocol: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", handshakes: 8, resumed: 0 });
  expect(report.nodes[0]?.tls).toEqual(report.tls);
  expect(report.latency.tls.count).toBe(8);
  expect(text + run.stdout() + run.stderr()).not.toContain("-----BEGIN");
  expect(target.counters().requests_received).toBe(100);
});

it("says what to do without --ca", async () => {
  const run = onrush(["run", `https://localhost:${target.port}/ping`, "--no-store"]);
  expect(await run.ended).toBe(4);
  expect(run.stderr()).toContain("use --ca FILE or --insecure");
});
