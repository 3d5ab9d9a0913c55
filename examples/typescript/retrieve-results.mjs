// Print the results of a batch, each of the four kinds: node retrieve-results.mjs [BATCH_ID]
import Anthropic from "@anthropic-ai/sdk";
import { endedBatchIdFromArguments } from "./sample.mjs";

const client = new Anthropic();
const batchId = await endedBatchIdFromArguments(client);

const results = await client.messages.batches.results(batchId);

for await (const entry of results) {
  if (entry.result.type === "succeeded") {
    const text = entry.result.message.content.find((block) => block.type === "text");
    console.log(`[${entry.custom_id}]:`, text?.type === "text" ? text.text : "");
  } else if (entry.result.type === "errored") {
    // A whole error envelope is in there, so type and text are one level further down than some guides show.
    const { type, message } = entry.result.error.error;
    console.error(`[${entry.custom_id}] Error: ${type}: ${message}`);
  } else if (entry.result.type === "canceled") {
    console.warn(`[${entry.custom_id}] Canceled`);
  } else if (entry.result.type === "expired") {
    console.warn(`[${entry.custom_id}] Expired`);
  }
}
