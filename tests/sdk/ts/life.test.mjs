// A whole life of batches with the newest SDK and the first two that can batch: only base URL and key are given.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import Newest from "@anthropic-ai/sdk";
import FirstGa from "sdk-oldest";
import FirstBeta from "sdk-oldest-beta";
import { assertBatch } from "./shapes.mjs";

const BETA = "message-batches-2024-09-24";
const OLD = { apiVersion: "2023-06-01", key: ["x-api-key", "a-key"], marked: true, resultsAccept: "application/json" };
const NEW = { apiVersion: "2026-10-21", key: ["authorization", "Bearer a-key"], marked: false, resultsAccept: "application/binary" };
const RELEASES = [
  ["newest", Newest, "messages", NEW],
  ["newest", Newest, "beta", NEW],
  ["0.33.0", FirstGa, "messages", { ...OLD, marked: false }],
  ["0.33.0", FirstGa, "beta", OLD],
  ["0.29.0", FirstBeta, "beta", OLD],
];

function aRequest(customId, maxTokens = 20) {
  const messages = [{ role: "user", content: `Say hello to ${customId}` }];
  return { custom_id: customId, params: { model: "claude-haiku-4-5-20251001", max_tokens: maxTokens, messages } };
}

async function all(iterable) {
  const found = [];
  for await (const each of await iterable) found.push(each);
  return found;
}

async function ended(batches, id) {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(100)) {
    const batch = await batches.retrieve(id);
    assertBatch(batch);
    if (batch.processing_status === "ended") return batch;
  }
  throw new Error(`${id} does not end`);
}

for (const [release, Sdk, namespace, wire] of RELEASES) {
  describe(`${release}, ${namespace}`, () => {
    const sent = [];
    const record = async (url, init) => {
      sent.push({ url: new URL(url), method: init.method.toUpperCase(), headers: new Headers(init.headers) });
      const body = init.body ?? undefined;
      return fetch(url, { method: init.method, headers: init.headers, body, signal: init.signal });
    };
    const client = new Sdk({ apiKey: "a-key", baseURL: process.env.SERVER_URL, fetch: record });
    const batches = namespace === "beta" ? client.beta.messages.batches : client.messages.batches;
    // The first releases had no delete: theirs is the plain HTTP call.
    const remove = (id) => (batches.delete ? batches.delete(id) : client.delete(`/v1/messages/batches/${id}`));

    it("creates, follows, reads and deletes", async () => {
      const batch = await batches.create({ requests: [aRequest("good"), aRequest("bad", 0)] });
      assertBatch(batch);
      assert.equal(batch.request_counts.processing, 2);

      const done = await ended(batches, batch.id);
      assert.deepEqual({ ...done.request_counts }, { processing: 0, succeeded: 1, errored: 1, canceled: 0, expired: 0 });
      const [good, bad] = await all(batches.results(batch.id));
      assert.deepEqual([good.custom_id, good.result.type], ["good", "succeeded"]);
      assert.equal(good.result.message.content[0].type, "text");
      assert.equal(good.result.message.usage.service_tier, "batch");
      assert.deepEqual([bad.custom_id, bad.result.type], ["bad", "errored"]);
      assert.equal(bad.result.error.error.type, "invalid_request_error");
      assert.equal(bad.result.error.error.message, "max_tokens: must be greater than or equal to 1");
      assert.equal(bad.result.error.message, bad.result.error.error.message);

      await assert.rejects(batches.cancel(batch.id), Sdk.BadRequestError);
      assert.deepEqual((({ id, type }) => ({ id, type }))(await remove(batch.id)), { id: batch.id, type: "message_batch_deleted" });
      await assert.rejects(batches.retrieve(batch.id), Sdk.NotFoundError);
    });

    it("pages through every batch in both directions", async () => {
      const ids = [];
      for (let number = 0; number < 5; number += 1) ids.push((await batches.create({ requests: [aRequest("one")] })).id);

      const listed = (await all(batches.list({ limit: 2 }))).map((batch) => batch.id);
      assert.deepEqual(listed.slice(0, 5), ids.toReversed());
      assert.equal(new Set(listed).size, listed.length);
      const newer = (await all(batches.list({ limit: 1, before_id: ids[2] }))).map((batch) => batch.id);
      assert.deepEqual(newer, [ids[3], ids[4]]);
      const [first] = (await all(batches.list({ limit: 2, after_id: ids[3] }))).map((batch) => batch.id);
      assert.equal(first, ids[2]);
    });

    it("cancels what runs", async () => {
      const batch = await batches.create({ requests: Array.from({ length: 200 }, (_, number) => aRequest(`r${number}`)) });
      await assert.rejects(remove(batch.id), Sdk.BadRequestError);

      const canceling = await batches.cancel(batch.id);
      assert.equal(canceling.processing_status, "canceling");
      assert.notEqual(canceling.cancel_initiated_at, null);

      const done = await ended(batches, batch.id);
      const kinds = (await all(batches.results(batch.id))).map((line) => line.result.type);
      assert.equal(kinds.length, 200);
      assert.equal(kinds.at(-1), "canceled");
      assert.equal(kinds.filter((kind) => kind === "canceled").length, done.request_counts.canceled);
    });

    it("was this release, by what it sent", () => {
      assert.ok(sent.length > 10);
      for (const { url, method, headers } of sent) {
        const [name, value] = wire.key;
        assert.equal(headers.get(name), value);
        assert.equal(headers.get("anthropic-version"), wire.apiVersion);
        if (url.pathname.endsWith("/results")) assert.equal(headers.get("accept"), wire.resultsAccept);
        if (method === "DELETE" && release !== "newest") continue;
        assert.equal((headers.get("anthropic-beta") ?? "").includes(BETA), wire.marked);
        // A list's own query takes the place of the mark.
        const isUnmarked = url.pathname.endsWith("/results") || url.searchParams.has("limit");
        assert.equal(url.search.includes("beta=true"), wire.marked && !isUnmarked, `${method} ${url}`);
      }
    });
  });
}
