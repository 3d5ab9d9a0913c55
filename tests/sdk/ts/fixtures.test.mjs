// The cases that the SDK's own tests have for batches, written anew, against a server with its compat fixtures on.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { assertBatch, assertDeleted, assertPage } from "./shapes.mjs";

const client = new Anthropic({ apiKey: "my-anthropic-api-key", baseURL: process.env.FIXTURES_URL });
const ID = "message_batch_id";
const WORKSPACE = { workspace_id: "wrkspc_011CZkZaBF1tNoB5wlCeusgy" };
const ELSEWHERE = { path: "/nothing/is/here" };
const CACHED = { type: "ephemeral", ttl: "5m" };
const MESSAGES = [{ content: "Hello, world", role: "user" }];
const PLAIN = { max_tokens: 1024, messages: MESSAGES, model: "claude-opus-5-5" };

const TOOL = {
  name: "name",
  type: "custom",
  description: "Get the current weather in a given location",
  input_schema: { type: "object", properties: { location: "bar", unit: "bar" }, required: ["location"] },
  allowed_callers: ["direct"],
  cache_control: CACHED,
  defer_loading: true,
  eager_input_streaming: true,
  input_examples: [{ foo: "bar" }],
  strict: true,
};
const ODD = {
  ...PLAIN,
  cache_control: CACHED,
  container: { id: "id", skills: [{ skill_id: "pdf", type: "anthropic", version: "latest" }] },
  diagnostics: { previous_message_id: "previous_message_id" },
  inference_geo: "inference_geo",
  metadata: { user_id: "13803d75-b4b5-4c3e-b2a2-6f21399b021b" },
  output_config: { effort: "low", format: { schema: { foo: "bar" }, type: "json_schema" } },
  service_tier: "auto",
  speed: "standard",
  stop_sequences: ["string"],
  stream: false,
  system: [{ text: "Today's date is 2024-06-01.", type: "text", cache_control: CACHED }],
  thinking: { type: "adaptive", display: "summarized" },
  tool_choice: { type: "auto", disable_parallel_tool_use: true },
  tools: [TOOL],
};
const ODD_BETA = {
  ...ODD,
  context_management: { edits: [{ type: "clear_tool_uses_20250919", clear_at_least: { type: "input_tokens", value: 0 } }] },
  mcp_servers: [{ name: "name", type: "url", url: "url", authorization_token: "authorization_token" }],
};

/** The promise gives the answer itself, the bare response, and both at once. */
async function assertThreeForms(call, check) {
  const promise = call();
  const raw = await promise.asResponse();
  assert.ok(raw instanceof Response);
  assert.match(raw.headers.get("content-type"), /^application\/json/);
  assert.match(raw.headers.get("request-id"), /^req_[0-9A-Za-z]{24}$/);
  const answer = await promise;
  assert.ok(!(answer instanceof Response));
  check(answer);
  const both = await promise.withResponse();
  assert.equal(both.data, answer);
  assert.equal(both.response, raw);
}

const NAMESPACES = [
  ["messages", client.messages.batches, {}, ODD],
  ["beta", client.beta.messages.batches, { betas: ["string"] }, ODD_BETA],
];

for (const [name, batches, beta, odd] of NAMESPACES) {
  const optional = { ...WORKSPACE, ...beta };

  describe(`${name}: the SDK's own cases`, () => {
    it("creates a batch", async () => {
      await assertThreeForms(() => batches.create({ requests: [{ custom_id: "my-custom-id-1", params: PLAIN }] }), assertBatch);
    });

    it("creates a batch with every parameter", async () => {
      const requests = [{ custom_id: "my-custom-id-1", params: odd }];
      assertBatch(await batches.create({ requests, user_profile_id: "anthropic-user-profile-id", ...optional }));
    });

    it("retrieves, deletes and cancels the same batch, again and again", async () => {
      for (let round = 0; round < 2; round += 1) {
        await assertThreeForms(() => batches.delete(ID), assertDeleted);
        await assertThreeForms(() => batches.cancel(ID), assertBatch);
        await assertThreeForms(() => batches.retrieve(ID), assertBatch);
      }
    });

    it("takes the optional parameters of each", async () => {
      assertBatch(await batches.retrieve(ID, optional));
      assertBatch(await batches.cancel(ID, optional));
      assertDeleted(await batches.delete(ID, optional));
    });

    it("lists", async () => {
      await assertThreeForms(() => batches.list(), assertPage);
    });

    it("lists with every parameter", async () => {
      assertPage(await batches.list({ after_id: "after_id", before_id: "before_id", limit: 1, ...optional }));
    });

    it("gives one result line, by its URL and without it", async () => {
      const lines = [];
      for await (const line of await batches.results(ID)) lines.push(line);
      assert.equal(lines.length, 1);
      assert.equal(lines[0].custom_id, "my-custom-id-1");
      assert.equal(lines[0].result.message.content[0].text, "Hello!");
      const direct = await client.get(`/v1/messages/batches/${ID}/results`, { headers: { accept: "application/x-jsonl" } }).asResponse();
      assert.equal(direct.headers.get("content-type"), "application/x-jsonl");
      assert.deepEqual(JSON.parse(await direct.text()), lines[0]);
    });

    it("answers an unknown path with an error of its own kind", async () => {
      for (const call of [
        () => batches.create({ requests: [] }, ELSEWHERE),
        () => batches.retrieve(ID, undefined, ELSEWHERE),
        () => batches.list(undefined, ELSEWHERE),
        () => batches.delete(ID, undefined, ELSEWHERE),
        () => batches.cancel(ID, undefined, ELSEWHERE),
      ]) {
        await assert.rejects(call, (error) => {
          assert.ok(error instanceof Anthropic.NotFoundError);
          assert.equal(error.error.error.type, "not_found_error");
          assert.equal(error.requestID, error.error.request_id);
          return true;
        });
      }
    });
  });
}
