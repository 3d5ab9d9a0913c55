// What every batch and every page must look like, whoever asks: all members there, in their types, nulls too.
import assert from "node:assert/strict";

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
const COUNTS = ["processing", "succeeded", "errored", "canceled", "expired"];
const MEMBERS = [
  "id", "type", "processing_status", "request_counts", "ended_at",
  "created_at", "expires_at", "archived_at", "cancel_initiated_at", "results_url",
];

/** Return the own members of an SDK object, without what the SDK adds to it. */
export function members(object) {
  return Object.keys(object).filter((name) => !name.startsWith("_"));
}

export function assertBatch(batch) {
  assert.deepEqual(members(batch), MEMBERS);
  assert.equal(batch.type, "message_batch");
  assert.ok(["in_progress", "canceling", "ended"].includes(batch.processing_status));
  assert.deepEqual(Object.keys(batch.request_counts), COUNTS);
  for (const count of Object.values(batch.request_counts)) assert.ok(Number.isInteger(count) && count >= 0);
  for (const name of ["created_at", "expires_at"]) assert.match(batch[name], MOMENT);
  for (const name of ["ended_at", "archived_at", "cancel_initiated_at"]) {
    if (batch[name] !== null) assert.match(batch[name], MOMENT);
  }
  assert.equal(batch.results_url !== null, batch.processing_status === "ended");
}

export function assertPage(page) {
  assert.ok(Array.isArray(page.data));
  page.data.forEach(assertBatch);
  assert.equal(typeof page.has_more, "boolean");
  assert.equal(page.first_id, page.data.at(0)?.id ?? null);
  assert.equal(page.last_id, page.data.at(-1)?.id ?? null);
}

export function assertDeleted(deleted) {
  assert.deepEqual(members(deleted), ["id", "type"]);
  assert.equal(deleted.type, "message_batch_deleted");
}
