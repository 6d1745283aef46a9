import { describe, expect, it } from "vitest";
import { eventsOf } from "./remote.ts";

describe("messages of /ws", () => {
  it("are run events, one or several; everything else is passed over", () => {
    const event = { seq: 1, event: { type: "mark", test_id: "t" } };
    expect(eventsOf(JSON.stringify(event))).toEqual([event]);
    expect(eventsOf(JSON.stringify([event, null, { seq: 2 }, 7]))).toEqual([event]);
    for (const rubbish of ["", "{", "null", "7", '{"seq":1,"event":{"type":"mark"}}']) expect(eventsOf(rubbish)).toEqual([]);
  });
});
