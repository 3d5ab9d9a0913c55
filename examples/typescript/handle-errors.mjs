// Errors of single requests are results; errors of the whole batch are exceptions.
import Anthropic from "@anthropic-ai/sdk";
import { nextPoll } from "./sample.mjs";

const client = new Anthropic();

const requests = [16, 0].map((max_tokens, index) => ({
  custom_id: `task-${index + 1}`,
  params: {
    model: "claude-haiku-4-5-20251001",
    max_tokens,
    messages: [{ role: /** @type {const} */ ("user"), content: "Name three rivers of Asia." }],
  },
}));

// A wrong request does not spoil the batch: max_tokens of 0 becomes an errored result.
let batch = await client.messages.batches.create({ requests });
while (batch.processing_status !== "ended") {
  await nextPoll();
  batch = await client.messages.batches.retrieve(batch.id);
}
for await (const entry of await client.messages.batches.results(batch.id)) {
  if (entry.result.type === "errored") {
    // The line holds {"type": "error", "error": {"type": …, "message": …}}, not the flat error of some guides,
    // and the words are "must be greater than or equal to 1".
    const { type, message } = entry.result.error.error;
    console.log(`${entry.custom_id}: ${type}: ${message}`);
  } else {
    console.log(`${entry.custom_id}: ${entry.result.type}`);
  }
}

try {
  await client.messages.batches.create({ requests: [...requests, requests[0]] }); // an id that stands there twice
} catch (error) {
  if (error instanceof Anthropic.APIError) {
    console.log(`API Error ${error.status}:`, error.message);
  } else {
    throw error;
  }
}
