import js from "@eslint/js";
import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "src/gen", "test-results", "playwright-report"] },
  js.configs.recommended,
  tseslint.configs.recommendedTypeChecked,
  hooks.configs.flat["recommended-latest"],
  {
    languageOptions: {
      parserOptions: { project: ["./tsconfig.json", "./tsconfig.node.json"], tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Text goes in as text nodes." },
        { property: "outerHTML", message: "Text goes in as text nodes." },
        { property: "insertAdjacentHTML", message: "Text goes in as text nodes." },
      ],
      "no-restricted-syntax": [
        "error",
        { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: "Never HTML from data." },
      ],
      "@typescript-eslint/no-confusing-void-expression": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: { attributes: false } }],
      // A redirect is thrown by the router's own rule.
      "@typescript-eslint/only-throw-error": "off",
    },
  },
  // A fake stream is a generator, whether it waits or not.
  { files: ["**/*.test.ts"], rules: { "@typescript-eslint/require-await": "off" } },
  { files: ["**/*.js", "**/*.mjs"], ...tseslint.configs.disableTypeChecked, languageOptions: { globals: { console: "readonly", process: "readonly", document: "readonly", localStorage: "readonly", matchMedia: "readonly", URL: "readonly" }, parserOptions: { project: null } } },
);
