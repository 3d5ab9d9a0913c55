// Look at a batch once: node check-status.mjs [BATCH_ID]
import Anthropic from "@anthropic-ai/sdk";
import { batchIdFromArguments } from "./sample.mjs";

const client = new Anthropic();

const status = await client.messages.batches.retrieve(await batchIdFromArguments(client));
console.log("Status:", status.processing_status);
console.log("Succeeded:", status.request_counts.succeeded);
console.log("Processing:", status.request_counts.processing);
console.log("Errored:", status.request_counts.errored);
