#!/usr/bin/env node
import { existsSync } from "node:fs";
import { quietExpectedWarnings, requireNode } from "./require-node.js";

requireNode();
quietExpectedWarnings();

// A checkout runs its sources; the published package holds only the built JavaScript.
const sources = new URL("../src/cli/main.ts", import.meta.url);
const { main } = await import(existsSync(sources) ? sources.href : new URL("../dist/cli/main.js", import.meta.url).href);
await main(process.argv.slice(2));
