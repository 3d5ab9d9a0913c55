// Collect the results of a batch in an array: node get-batch-results.mjs [BATCH_ID]
import Anthropic from "@anthropic-ai/sdk";
import { endedBatchIdFromArguments, textOf } from "./sample.mjs";

const client = new Anthropic();

/** @param {string} batchId */
async function getBatchResults(batchId) {
  const results = [];
  // results() gives a promise of something to iterate over. Guides that leave out the inner await get
  // "TypeError: … is not async iterable".
  for await (const { custom_id, result } of await client.messages.batches.results(batchId)) {
    results.push({
      id: custom_id,
      type: result.type,
      text: result.type === "succeeded" ? textOf(result.message) : null,
      error: result.type === "errored" ? result.error.error : null,
    });
  }
  return results;
}

console.log(await getBatchResults(await endedBatchIdFromArguments(client)));
