import { describe, expect, it } from "vitest";
import { limitWarnings, localPortsOf, openFilesOf } from "./limits.ts";

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max open files            1024                 1048576              files
`;

describe("limits of the system", () => {
  it("reads the soft limit of open files and the span of local ports", () => {
    expect(openFilesOf(LIMITS)).toBe(1024);
    expect(openFilesOf("")).toBeNull();
    expect(localPortsOf("32768\t60999\n")).toBe(28_232);
    expect(localPortsOf("")).toBeNull();
  });

  it("warns where connections need more than there is", () => {
    expect(limitWarnings(960, { open_files: 1024, local_ports: 28_232 })).toEqual([]);
    expect(limitWarnings(961, { open_files: 1024, local_ports: null })).toEqual([
      "961 connections need more open files than the limit of 1,024: raise it with `ulimit -n 1025`, or use fewer --connections",
    ]);
    expect(limitWarnings(30_000, { open_files: null, local_ports: 28_232 })[0]).toMatch(/^30,000 connections .* 28,232/);
  });
});
