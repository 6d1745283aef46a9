import type { Control } from "../protocol/control.ts";

/** Whose commands count, folded from `control`. */
export interface Authority {
  /** 0: nobody has claimed yet. */
  term: number;
  owner: string | null;
  command_seq: number;
  /** The highest offset seen: the log may deliver a record twice. */
  offset: number;
}

export const NO_AUTHORITY: Authority = { term: 0, owner: null, command_seq: -1, offset: -1 };

/**
 * Why a command at an offset does not count; null when it does.
 *
 *     claim     valid if term = current + 1
 *     others    valid if term and owner are current and command_seq = last + 1
 */
export function refusalOf(authority: Authority, command: Control, offset: number): string | null {
  if (offset <= authority.offset) return "delivered twice";
  if (command.type === "claim") return command.term === authority.term + 1 ? null : "claim of a term that is not the next";
  if (command.term !== authority.term) return "command of another term";
  if (command.owner !== authority.owner) return "command of another owner";
  if (command.command_seq !== authority.command_seq + 1) return "command repeated or out of order";
  return null;
}

/** The authority after a command; one that does not count only moves the offset. */
export function afterCommand(authority: Authority, command: Control, offset: number): Authority {
  if (refusalOf(authority, command, offset) !== null) return { ...authority, offset: Math.max(authority.offset, offset) };
  return { term: command.term, owner: command.owner, command_seq: command.command_seq, offset };
}
