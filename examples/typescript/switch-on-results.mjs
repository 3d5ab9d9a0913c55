// Decide for each result what to do next: node switch-on-results.mjs [BATCH_ID]
import Anthropic from "@anthropic-ai/sdk";
import { nextPoll, textOf } from "./sample.mjs";

const client = new Anthropic();

/** @returns {Promise<string>} */
async function someBatch() {
  const requests = [
    { custom_id: "fine", content: "Explain the tides.", max_tokens: 300 },
    { custom_id: "wrong", content: "Explain the moon.", max_tokens: 0 },
    // The text in double brackets asks Batchyard's simulator for an error; a model would only wonder about it.
    { custom_id: "unlucky", content: "[[simulate: overloaded_error]] Explain the sun.", max_tokens: 300 },
  ];
  const batch = await client.messages.batches.create({
    requests: requests.map(({ custom_id, content, max_tokens }) => ({
      custom_id,
      params: { model: "claude-opus-4-7", max_tokens, messages: [{ role: "user", content }] },
    })),
  });
  while ((await client.messages.batches.retrieve(batch.id)).processing_status !== "ended") await nextPoll();
  return batch.id;
}

for await (const result of await client.messages.batches.results(process.argv[2] ?? (await someBatch()))) {
  switch (result.result.type) {
    case "succeeded":
      console.log(`[${result.custom_id}] ${textOf(result.result.message).slice(0, 100)}`);
      break;
    case "errored":
      // A guide compares error.type with "invalid_request". error.type is always "error"; what happened is one
      // level further down, and is called "invalid_request_error".
      switch (result.result.error.error.type) {
        case "api_error":
        case "overloaded_error":
        case "rate_limit_error":
        case "timeout_error":
          console.log(`[${result.custom_id}] Server error - safe to retry`);
          break;
        default:
          console.log(`[${result.custom_id}] Validation error - fix and retry`);
      }
      break;
    case "expired":
      console.log(`[${result.custom_id}] Expired - resubmit`);
      break;
    case "canceled": // left out in the guide
      console.log(`[${result.custom_id}] Canceled - resubmit if it is still wanted`);
      break;
  }
}
