// SPDX-License-Identifier: MIT
// Reads YAML manifests on standard input, checks each by schema, for types and for unknown fields,
// and prints them as JSON. Fails with what is wrong. Lies beside node_modules when it runs.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const documents = require("js-yaml").loadAll(readFileSync(0, "utf8")).filter(Boolean);
const typed = {
  v1: "core/v1", "apps/v1": "apps/v1", "autoscaling/v2": "autoscaling/v2",
  "policy/v1": "policy/v1", "networking.k8s.io/v1": "networking/v1",
};
const faults = [];
let source = "";

async function model({ apiVersion, kind }) {
  if (!apiVersion.startsWith("monitoring.")) return require("kubernetes-models/" + apiVersion)[kind];
  return (await import(`@kubernetes-models/prometheus-operator/${apiVersion}/${kind}`))[kind];
}

for (const [number, document] of documents.entries()) {
  const name = `${document.kind}/${document.metadata.name}`;
  try {
    const Model = await model(document);
    new Model(document).validate();
  } catch (error) {
    faults.push(`${name}: ${error.message}`);
  }
  const group = typed[document.apiVersion];
  if (group)
    source += `export const d${number}: import("kubernetes-types/${group}").${document.kind} =\n` +
      `${JSON.stringify(document, null, 1)}; // ${name}\n`;
  else if (!document.apiVersion.startsWith("monitoring."))
    faults.push(`${name}: no types for ${document.apiVersion}`);
}
writeFileSync("manifests.ts", source);
const checked = spawnSync("node_modules/.bin/tsc",
  ["--noEmit", "--strict", "--skipLibCheck", "--pretty", "false", "manifests.ts"],
  { encoding: "utf8" });
if (checked.status !== 0) faults.push(checked.stdout);
if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exit(1);
}
console.log(JSON.stringify(documents));
