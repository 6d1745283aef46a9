// `node scripts/ci-summary.js RESULT EXIT_CODE`: from Vitest's JSON the one line "N passed, N failed[, N skipped]".
// Exits with 1 when anything failed, or when the tests ended with another exit code than 0.
import { readFileSync } from "node:fs";

const [file, exit_code] = process.argv.slice(2);

function count() {
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(readFileSync(file, "utf8"));
  // A file that could not even be loaded has failed, although it has no tests.
  const broken = testResults.filter(
    ({ status, assertionResults }) => status === "failed" && !assertionResults.some((test) => test.status === "failed"),
  );
  return { passed: numPassedTests, failed: numFailedTests + broken.length, skipped: numPendingTests + numTodoTests };
}

let counted = { passed: 0, failed: 0, skipped: 0 };
try {
  counted = count();
} catch {
  console.log("the tests left no result");
}
// An error outside of every test.
if (counted.failed === 0 && exit_code !== "0") counted.failed = 1;
const { passed, failed, skipped } = counted;
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed === 0 ? 0 : 1;
