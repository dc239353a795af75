// SPDX-License-Identifier: MIT
// Parses Terraform files and prints them as one JSON object by path. Lies beside node_modules.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { parse } = createRequire(import.meta.url)("@cdktf/hcl2json");
const files = {};
for (const path of process.argv.slice(2)) files[path] = await parse(path, readFileSync(path, "utf8"));
console.log(JSON.stringify(files));
