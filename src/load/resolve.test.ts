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

test("other protocols are refused", async () => {
  await expect(resolveTarget(request("ftp://127.0.0.1/"))).rejects.toThrow(TypeError);
});

test("warming the code ends by itself", async () => {
  await warmCode(100);
});
