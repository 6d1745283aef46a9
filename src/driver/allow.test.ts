import fc from "fast-check";
import { BlockList } from "node:net";
import { describe, expect, it } from "vitest";
import { contains, parseAddress, parseNetwork } from "./address.ts";
import { judgeTarget, parseAllow } from "./allow.ts";

const allowed = (address: string, patterns: string[] = [], hostname = address, port = 80, own: string[] = []) =>
  judgeTarget(parseAllow(patterns), parseAllow(own), { hostname, address, port }).allowed;

describe("without patterns", () => {
  it.each(["127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "::1", "fd12::1", "::ffff:10.0.0.1"])(
    "%s may be hit",
    (address) => expect(allowed(address)).toBe(true),
  );
  it.each(["8.8.8.8", "172.32.0.1", "11.0.0.1", "2001:4860:4860::8888", "::ffff:8.8.8.8"])("%s may not", (address) =>
    expect(allowed(address)).toBe(false),
  );
});

describe("never", () => {
  it.each([
    "169.254.169.254",
    "169.254.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fd00:ec2::254",
    "FD00:0EC2:0:0:0:0:0:0254",
    "ff02::1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "0:0:0:0:0:ffff:a9fe:a9fe",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::169.254.169.254",
    "2002:a9fe:a9fe::1",
    "2001:0:1:2:3:4:5601:5601",
    "::ffff:0.0.0.0",
    "nonsense",
    "2852039166",
  ])("%s, whatever is allowed", (address) => {
    expect(allowed(address, ["0.0.0.0/0", "::/0", "evil.example"], "evil.example")).toBe(false);
    expect(allowed(address, [], "evil.example", 80, ["evil.example"])).toBe(false);
  });
});

describe("patterns", () => {
  it("name hosts, ports, domains, addresses and networks", () => {
    expect(allowed("8.8.8.8", ["shop.example"], "shop.example")).toBe(true);
    expect(allowed("8.8.8.8", ["Shop.Example."], "shop.example.")).toBe(true);
    expect(allowed("8.8.8.8", ["shop.example"], "a.shop.example")).toBe(false);
    expect(allowed("8.8.8.8", ["shop.example:81"], "shop.example")).toBe(false);
    expect(allowed("8.8.8.8", ["shop.example:80"], "shop.example")).toBe(true);
    expect(allowed("8.8.8.8", ["*.example"], "a.b.example")).toBe(true);
    expect(allowed("8.8.8.8", ["*.example:80"], "a.example")).toBe(true);
    expect(allowed("8.8.8.8", ["*.example"], "example")).toBe(false);
    expect(allowed("8.8.8.8", ["*.example"], "notexample")).toBe(false);
    expect(allowed("8.8.8.8", ["8.8.8.8"], "dns.example")).toBe(true);
    expect(allowed("::ffff:8.8.8.8", ["8.8.8.8:80"])).toBe(true);
    expect(allowed("8.8.8.8", ["::ffff:8.8.8.8"])).toBe(true);
    expect(allowed("8.8.8.8", ["8.8.0.0/16"])).toBe(true);
    expect(allowed("2001:db8::1", ["[2001:db8::1]:80"])).toBe(true);
    expect(allowed("2001:db8::1", ["[2001:db8::1]:81"])).toBe(false);
    expect(allowed("2001:db8::1", ["2001:db8::/32"])).toBe(true);
  });

  it("leave out what they do not name, private networks too; --target comes beside them", () => {
    expect(allowed("10.0.0.1", ["shop.example"])).toBe(false);
    expect(allowed("10.0.0.1", [], "10.0.0.1", 80, ["8.8.8.8:80"])).toBe(true);
    expect(allowed("8.8.8.8", ["shop.example"], "8.8.8.8", 80, ["8.8.8.8:80"])).toBe(true);
  });

  it("are told how to be written, and which flag would help", () => {
    for (const bad of ["", "http://x", "10.0.0.0/33", "a b", "*", "x:0", "x:99999", "*.*.x", "[x]:80", "1.2.3.4/x", "::1/129", "-x"]) {
      expect(() => parseAllow([bad]), bad).toThrow(/--allow ".*": expected a host/);
    }
    const verdict = judgeTarget([], [], { hostname: "shop.example", address: "8.8.8.8", port: 443 });
    expect(verdict).toEqual({
      allowed: false,
      message: "this driver may hit only loopback and private networks, not shop.example:443 (8.8.8.8); start it with --allow shop.example",
    });
  });
});

describe("addresses", () => {
  it("agree with node:net about every network of both versions", () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6());
    fc.assert(
      fc.property(address, address, fc.nat(128), (network, member, bits) => {
        const version = network.includes(":") ? "ipv6" : "ipv4";
        const prefix = version === "ipv4" ? bits % 33 : bits;
        const list = new BlockList();
        list.addSubnet(network, prefix, version);
        const parsed = parseAddress(member)!;
        // BlockList takes mapped IPv6 for IPv4; that is `unmapped` here.
        fc.pre(parsed.version === 4 || parsed.bits >> 32n !== 0xffffn);
        const expected = (member.includes(":") ? "ipv6" : "ipv4") === version && list.check(member, version);
        expect(contains(parseNetwork(`${network}/${prefix}`)!, parsed)).toBe(expected);
      }),
    );
  });

  it("that are none are none", () => {
    for (const bad of ["", "1.2.3", "1.2.3.256", "01.2.3.4444", ":::", "1::2::3", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7", "g::", "::1.2.3"]) {
      expect(parseAddress(bad), bad).toBe(null);
    }
    fc.assert(fc.property(fc.string(), (text) => void parseAddress(text)));
  });
});
