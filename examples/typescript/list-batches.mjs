// List all batches, newest first. The SDK asks for one page after the other.
import Anthropic from "@anthropic-ai/sdk";
import { batchIdFromArguments } from "./sample.mjs";

const client = new Anthropic();
for (let made = 0; made < 3; made++) await batchIdFromArguments(client);

let listed = 0;
// Awaiting the list first gives its first page, which is iterated over in the same way.
for await (const batch of client.messages.batches.list({ limit: 2 })) {
  const { succeeded, errored } = batch.request_counts;
  console.log(batch.id, batch.processing_status, `succeeded: ${succeeded}`, `errored: ${errored}`);
  listed++;
}
console.log("Listed:", listed);
