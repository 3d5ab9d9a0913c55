// Cancel a batch: node cancel-batch.mjs [BATCH_ID]. What is done keeps its result, the rest becomes canceled.
import Anthropic from "@anthropic-ai/sdk";
import { nextPoll } from "./sample.mjs";

const client = new Anthropic();

/** @returns {Promise<string>} */
async function someBatch() {
  const batch = await client.messages.batches.create({
    requests: Array.from({ length: 1000 }, (_, index) => ({
      custom_id: `story-${index}`,
      params: {
        model: "claude-haiku-4-5-20251001",
        max_tokens: 400,
        messages: [{ role: "user", content: `Tell a story about a lighthouse and the number ${index}.` }],
      },
    })),
  });
  return batch.id;
}

const canceledBatch = await client.messages.batches.cancel(process.argv[2] ?? (await someBatch()));
console.log("Status:", canceledBatch.processing_status); // "canceling": calls in flight are waited for

let batch = canceledBatch;
while (batch.processing_status !== "ended") {
  await nextPoll();
  batch = await client.messages.batches.retrieve(batch.id);
}
console.log("Status:", batch.processing_status);
console.log("Canceled:", batch.request_counts.canceled);
