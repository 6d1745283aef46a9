interface Words {
  cause: string;
  advice: string;
}

const FULL: Words = {
  cause: "a load thread had no time left in more than one second in twenty",
  advice: "use more --workers, more drivers on other machines, or a lower rate",
};

const WORDS: Record<string, Words> = {
  generator_core_full: {
    cause: "its load threads were what limited the rate, not the target",
    advice: "use more --workers, or more machines",
  },
  utilisation_above_95_percent: FULL,
  achieved_below_99_percent: {
    cause: "less than 99 % of what was due went out while connections were free",
    advice: "use a lower rate, more --workers, or more machines",
  },
};

/** A code of generator.reasons in words; one that is not known stays as it is. */
export function reasonInWords(reason: string): Words {
  const late_ms = /^send_lateness_p99_(\d+)ms$/.exec(reason)?.[1];
  if (late_ms === undefined) return WORDS[reason] ?? { cause: reason, advice: "" };
  return {
    cause: `requests went out up to ${late_ms} ms late (p99): something else had the CPU, or the rate is too high for this machine`,
    advice: "use fewer drivers on it, --pacing precise, or more machines",
  };
}

/** The codes within a text, as the reason of a threshold is one, by their causes. */
export function codesInWords(text: string): string {
  return text.replace(/\b(?:send_lateness_p99_\d+ms|[a-z]+(?:_[a-z0-9]+)+)\b/g, (code) => reasonInWords(code).cause);
}
