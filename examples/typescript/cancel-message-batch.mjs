// Cancel a batch as soon as it is made.
import Anthropic from "@anthropic-ai/sdk";
import { batchIdFromArguments } from "./sample.mjs";

const client = new Anthropic();

const cancelled = await client.messages.batches.cancel(await batchIdFromArguments(client));
console.log(`Status: ${cancelled.processing_status}`); // "canceling"
