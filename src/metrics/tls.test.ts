import { expect, test } from "vitest";
import { decodeHistogram } from "./codec.ts";
import { createTlsRecorder, mergeTls } from "./tls.ts";

test("nothing before the first handshake", () => {
  expect(createTlsRecorder().snapshot()).toBeNull();
  expect(mergeTls([null, undefined])).toBeNull();
});

test("handshakes of several nodes as if one had done all", () => {
  const [left, right, both] = [createTlsRecorder(), createTlsRecorder(), createTlsRecorder()];
  const handshake = (recorder: typeof left, us: number, reused: boolean, protocol: string) => {
    for (const one of [recorder, both]) one.secured(us, reused, protocol, "AES");
  };
  handshake(left, 100, false, "TLSv1.3");
  handshake(left, 200, true, "TLSv1.3");
  handshake(right, 3000, false, "TLSv1.2");
  handshake(right, 400, false, "TLSv1.3");
  const merged = mergeTls([left.snapshot(), null, right.snapshot()]);
  expect(merged).toMatchObject({ protocol: "TLSv1.3, TLSv1.2", cipher: "AES", handshakes: 4, resumed: 1 });
  expect(merged).toEqual(both.snapshot());
  expect(decodeHistogram(merged!.duration)).toMatchObject({ count: 4, min_us: 100, max_us: 3000 });
});

test("a target that negotiates anew each time makes no endless text", () => {
  const recorder = createTlsRecorder();
  for (let i = 0; i < 100; i++) recorder.secured(1, false, "TLSv1.3", `CIPHER_${i}`);
  expect(recorder.snapshot()?.cipher.split(", ")).toHaveLength(8);
});
