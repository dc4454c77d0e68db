// Builds the bundles into dist/, or with --tests the tests into build/. The output is the same on every machine.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { build } from "esbuild";

const common = {
  bundle: true,
  target: "es2022",
  charset: "utf8",
  logLevel: "warning",
  absWorkingDir: import.meta.dirname,
};

if (process.argv.includes("--tests")) {
  const tests = readdirSync(`${import.meta.dirname}/test`).filter((name) => name.endsWith(".test.ts"));
  await build({
    ...common,
    entryPoints: tests.map((name) => `test/${name}`),
    outdir: "build",
    outExtension: { ".js": ".mjs" },
    format: "esm",
    platform: "node",
    sourcemap: "inline",
  });
} else {
  const notice = readFileSync(`${import.meta.dirname}/NOTICE`, "utf8");
  const bundle = { ...common, minify: true, legalComments: "none", banner: { js: `/*!\n${notice}*/` } };
  await build({ ...bundle, entryPoints: ["src/script.ts"], format: "iife", outfile: "dist/instant.js" });
  await build({ ...bundle, entryPoints: ["src/module.ts"], format: "esm", outfile: "dist/instant.mjs" });
  declare();
}

// The module's types in one file: those of the API, and its export.
function declare() {
  const compiler = [
    "node_modules/typescript/bin/tsc",
    "--ignoreConfig",
    "--declaration",
    "--emitDeclarationOnly",
    "--outDir",
    "build/types",
    "src/api.ts",
  ];
  execFileSync(process.execPath, compiler, { cwd: import.meta.dirname, stdio: "inherit" });
  const types = readFileSync(`${import.meta.dirname}/build/types/api.d.ts`, "utf8");
  writeFileSync(`${import.meta.dirname}/dist/instant.d.mts`, `${types}export declare const connect: Connect;\n`);
  rmSync(`${import.meta.dirname}/build/types`, { recursive: true });
}
