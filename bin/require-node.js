// The one place that knows the oldest Node.js that runs Onrush. Plain JavaScript: an old Node must be able to read it.
const needed = [22, 22, 0];

/** Ends the process with one clear line (exit code 4) when this Node.js is too old. */
export function requireNode() {
  const given = process.versions.node.split(".").map(Number);
  const index = needed.findIndex((part, i) => given[i] !== part);
  if (index === -1 || given[index] > needed[index]) return;
  process.stderr.write(
    `onrush: this is Node.js ${process.versions.node}, and Onrush needs ${needed.join(".")} or newer. ` +
      "Install Node.js 24 (https://nodejs.org); inside a checkout `npm start` and `npx onrush` bring their own.\n",
  );
  process.exit(4);
}

/**
 * Silences the warnings about what Onrush knowingly does: type stripping and SQLite on Node 22, and plans in TypeScript
 * beside a package.json that does not speak of modules.
 */
export function quietExpectedWarnings() {
  const emit = process.emitWarning;
  process.emitWarning = (warning, ...rest) => {
    const options = typeof rest[0] === "object" && rest[0] !== null ? rest[0] : { type: rest[0], code: rest[1] };
    if (options.type === "ExperimentalWarning" && /SQLite|Type Stripping/i.test(String(warning))) return;
    if (options.code === "MODULE_TYPELESS_PACKAGE_JSON") return;
    emit.call(process, warning, ...rest);
  };
}
