// SPDX-License-Identifier: MIT
// Uses the service through a client whose types are generated from the API's document.
import createClient from "openapi-fetch";
import type { paths } from "./schema";

declare const process: { argv: string[] };
const [, , baseUrl, key] = process.argv;
const client = createClient<paths>({ baseUrl, headers: key ? { Authorization: `Bearer ${key}` } : {} });

function expect(what: string, got: unknown, wanted: unknown): void {
  if (JSON.stringify(got) !== JSON.stringify(wanted))
    throw new Error(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
}

const ids = ["a", "b/c", "d"];
for (const id of ids) {
  const made = await client.POST("/integrations", { body: { id, name: id, description: "" } });
  expect("created", [made.response.status, made.data?.status], [201, false]);
}

const path = { id: "b/c" };
const read = await client.GET("/integrations/{id}", { params: { path } });
const tag = read.response.headers.get("ETag") ?? "";
const patched = await client.PATCH("/integrations/{id}", {
  params: { path, header: { "If-Match": tag } },
  body: { status: true, settings: { token: "x" } },
  headers: { "Content-Type": "application/merge-patch+json" },
});
expect("patched", [patched.response.status, patched.data?.status], [200, true]);
const late = await client.PATCH("/integrations/{id}", {
  params: { path, header: { "If-Match": tag } },
  body: { status: false },
});
expect("too late", [late.response.status, late.error !== undefined], [412, true]);

const seen: (string | undefined)[] = [];
for (let after: string | undefined = ""; after !== undefined;) {
  const page: { data?: { id?: string }[]; response: Response } = await client.GET("/integrations", {
    params: { query: { limit: 2, fields: ["id", "etag"], after } },
  });
  seen.push(...(page.data ?? []).map((item) => item.id));
  after = /[?&]after=([0-9a-f]+)>; rel="next"/.exec(page.response.headers.get("Link") ?? "")?.[1];
}
expect("paged", seen, ids);

const batch = await client.POST("/integrations:batch", {
  body: { operations: ids.slice(1).map((id) => ({ op: "delete" as const, id })) },
});
expect("deleted together", batch.data?.results.map((result) => result.status), [204, 204]);
const gone = await client.DELETE("/integrations/{id}", { params: { path: { id: "a" } } });
expect("deleted", gone.response.status, 204);
const none = await client.GET("/integrations/{id}", { params: { path } });
expect("gone", [none.response.status, none.error], [404, { detail: "not found" }]);
const providers = await client.GET("/providers");
expect("providers", providers.data?.some(({ name }) => name === "telegram"), true);
const schema = await client.GET("/providers/{name}", { params: { path: { name: "telegram" } } });
expect("a schema", schema.data !== undefined && "properties" in schema.data, true);
console.log("ok");
