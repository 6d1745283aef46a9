import { createServer, type AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { resolveTarget } from "./resolve.ts";
import { warmCode } from "./warm.ts";

const request = (url: string) => ({ url, method: "GET", headers: {}, body: null, insecure: false });

test("an address is taken as it is", async () => {
  expect(await resolveTarget(request("https://[::1]:8443/a?b=c#d"))).toEqual({
    ok: true,
    target: {
      protocol: "https:",
      hostname: "::1",
      address: "::1",
      port: 8443,
      path: "/a?b=c",
      method: "GET",
      headers: {},
      body: null,
      insecure: false,
    },
  });
});

test("of several addresses the first that accepts is pinned, else the first", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  const resolve = async () => ["127.0.0.2", "127.0.0.1", "127.0.0.3"];
  const pinned = async () => {
    const result = await resolveTarget(request(`http://some.name:${port}/`), { resolve });
    return result.ok && result.target;
  };
  expect(await pinned()).toMatchObject({ hostname: "some.name", address: "127.0.0.1", port });
  await new Promise((closed) => server.close(closed));
  expect(await pinned()).toMatchObject({ address: "127.0.0.2" });
});

test("addresses that are not allowed are not dialled", async () => {
  const resolve = async () => ["169.254.169.254"];
  const allowed = (address: string) => !address.startsWith("169.254.");
  expect(await resolveTarget(request("http://some.name/"), { resolve, allowed })).toMatchObject({
    ok: false,
    kind: "not_allowed",
  });
});

test("a name without an address", async () => {
  const resolve = async () => {
    throw Object.assign(new Error("getaddrinfo ENOTFOUND some.name"), { code: "ENOTFOUND" });
  };
  expect(await resolveTarget(request("http://some.name/"), { resolve })).toEqual({
    ok: false,
    kind: "dns",
    message: "name not resolved (ENOTFOUND)",
  });
});

test("a resolver that does not answer is waited for so long", async () => {
  const resolve = () => new Promise<string[]>(() => {});
  expect(await resolveTarget(request("http://some.name/"), { resolve, lookup_ms: 20 })).toEqual({
    ok: false,
    kind: "dns",
    message: "name not resolved (no answer within 0.02 s)",
  });
});

test("a pinned address takes the place of what the name resolves to, and must be allowed", async () => {
  const resolve = async () => Promise.reject(new Error("asked all the same"));
  const pinned = (ip: string, allowed?: (address: string) => boolean) =>
    resolveTarget({ ...request("http://some.name:81/"), resolve: `some.name:${ip}` }, { resolve, ...(allowed && { allowed }) });
  expect(await pinned("127.0.0.9")).toMatchObject({ ok: true, target: { hostname: "some.name", address: "127.0.0.9", port: 81 } });
  expect(await pinned("[::1]")).toMatchObject({ ok: true, target: { address: "::1" } });
  expect(await pinned("127.0.0.9", () => false)).toMatchObject({ ok: false, kind: "not_allowed" });
});

test("through a unix socket no name is resolved", async () => {
  const result = await resolveTarget({ ...request("http://some.name/a"), unix_socket: "/run/s" });
  expect(result).toMatchObject({ ok: true, target: { hostname: "some.name", address: "", socket_path: "/run/s", path: "/a" } });
});

test("other protocols are refused", async () => {
  await expect(resolveTarget(request("ftp://127.0.0.1/"))).rejects.toThrow(TypeError);
});

test("warming the code ends by itself", async () => {
  await warmCode(100);
});
