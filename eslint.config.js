import tseslint from "typescript-eslint";

// The arrows of the rooms: what each may import besides itself. Nothing else may.
const arrows = {
  plan: [],
  metrics: [],
  protocol: ["plan", "metrics"],
  run: ["protocol", "plan", "metrics"],
  bus: ["protocol"],
  load: ["plan", "metrics"],
  driver: ["load", "bus", "protocol", "plan", "metrics"],
  api: ["run", "plan", "metrics"],
  orchestrator: ["api", "run", "bus", "protocol", "plan", "metrics"],
  target: [],
  cli: ["plan", "metrics", "protocol", "run", "bus", "load", "driver", "api", "orchestrator", "target"],
};

// These also run in a browser: no Node modules, no clock, no randomness, no I/O.
const pure = ["plan", "metrics", "protocol", "run", "api"];

const forbiddenGlobals = [
  { name: "process", message: "pure room: pass it in" },
  { name: "Buffer", message: "pure room: use Uint8Array" },
  { name: "performance", message: "pure room: time is passed in" },
  { name: "setTimeout", message: "pure room: no timers" },
  { name: "setInterval", message: "pure room: no timers" },
];

const forbiddenCalls = [
  { object: "Date", property: "now", message: "pure room: time is passed in" },
  { object: "Math", property: "random", message: "pure room: randomness is passed in" },
];

function room(name) {
  const forbidden = Object.keys(arrows).filter((other) => other !== name && !arrows[name].includes(other));
  const patterns = [
    {
      regex: `^(\\.\\./)+(${forbidden.join("|")})/`,
      message: `the arrows: ${name} may import only ${arrows[name].join(", ") || "itself"} (docs/adr and CONTRIBUTING.md)`,
    },
  ];
  if (pure.includes(name)) patterns.push({ regex: "^node:", message: `${name} is a pure room: it also runs in a browser` });
  return {
    files: [`src/${name}/**/*.ts`],
    ignores: ["**/*.test.ts", "**/testing/**"],
    rules: {
      "@typescript-eslint/no-restricted-imports": ["error", { patterns }],
      ...(pure.includes(name) && {
        "no-restricted-globals": ["error", ...forbiddenGlobals],
        "no-restricted-properties": ["error", ...forbiddenCalls],
      }),
    },
  };
}

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", ".cache/", "coverage/"] },
  ...tseslint.configs.recommendedTypeChecked.map((config) => ({ ...config, files: ["**/*.ts"] })),
  {
    files: ["**/*.ts"],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "no-restricted-syntax": [
        "error",
        { selector: "ExportDefaultDeclaration", message: "no default exports: a thing has one name" },
        { selector: "ExportAllDeclaration", message: "no barrels: import from the file that defines it" },
      ],
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "max-lines": ["error", { max: 420, skipBlankLines: true }],
    },
  },
  { files: ["vitest.config.ts"], rules: { "no-restricted-syntax": "off" } },
  {
    files: ["**/*.test.ts", "**/testing/**/*.ts"],
    rules: {
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
  ...Object.keys(arrows).map(room),
);
