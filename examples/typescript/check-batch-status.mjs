// Look at a batch with a function of its own: node check-batch-status.mjs [BATCH_ID]
import Anthropic from "@anthropic-ai/sdk";
import { batchIdFromArguments } from "./sample.mjs";

const client = new Anthropic();

/** @param {string} batchId */
async function checkBatchStatus(batchId) {
  const batch = await client.messages.batches.retrieve(batchId);
  console.log("Status:", batch.processing_status);
  console.log("Succeeded:", batch.request_counts.succeeded);
  console.log("Errored:", batch.request_counts.errored);
  console.log("Processing:", batch.request_counts.processing);
  return batch;
}

await checkBatchStatus(await batchIdFromArguments(client));
