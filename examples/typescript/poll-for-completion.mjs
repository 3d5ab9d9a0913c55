// Wait until a batch has ended: node poll-for-completion.mjs [BATCH_ID]. POLL_SECONDS sets the pace.
import Anthropic from "@anthropic-ai/sdk";
import { batchIdFromArguments, nextPoll } from "./sample.mjs";

const client = new Anthropic();
const batchId = await batchIdFromArguments(client);

let batch;
while (true) {
  batch = await client.messages.batches.retrieve(batchId);
  if (batch.processing_status === "ended") break;
  console.log(`Status: ${batch.processing_status}, processing: ${batch.request_counts.processing}`);
  await nextPoll();
}

console.log("Batch complete!");
console.log(`Succeeded: ${batch.request_counts.succeeded}`);
console.log(`Errored: ${batch.request_counts.errored}`);
