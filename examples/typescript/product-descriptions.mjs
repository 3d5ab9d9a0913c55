// The whole path in one script: create a batch, wait for its end, print what came of each request.
import Anthropic from "@anthropic-ai/sdk";
import { nextPoll } from "./sample.mjs";

const client = new Anthropic();

/**
 * @typedef {object} ProductTask
 * @property {string} id
 * @property {string} name
 * @property {string} description
 */

/**
 * @param {ProductTask[]} tasks
 * @returns {Promise<void>}
 */
async function processBatch(tasks) {
  const requests = tasks.map((task) => ({
    custom_id: task.id,
    params: {
      model: "claude-haiku-4-5-20251001",
      max_tokens: 500,
      messages: [
        {
          role: /** @type {const} */ ("user"),
          content: `Write a product description of at most 100 words for: ${task.name}. ${task.description}.`,
        },
      ],
    },
  }));

  console.log(`Creating batch with ${requests.length} requests...`);
  const batch = await client.messages.batches.create({ requests });
  console.log(`Batch created: ${batch.id}`);

  console.log("Waiting for batch to complete...");
  let status = await client.messages.batches.retrieve(batch.id);
  while (status.processing_status !== "ended") {
    const { succeeded, processing, errored } = status.request_counts;
    console.log(
      `Status: ${status.processing_status} (succeeded: ${succeeded}, processing: ${processing}, errored: ${errored})`,
    );
    await nextPoll();
    status = await client.messages.batches.retrieve(batch.id);
  }

  console.log("Batch processing complete!");
  const { succeeded, errored } = status.request_counts;
  console.log(`Final counts - succeeded: ${succeeded}, errored: ${errored}`);

  const rule = "=".repeat(60);
  console.log(`\nResults:\n${rule}`);

  for await (const entry of await client.messages.batches.results(batch.id)) {
    console.log(`\n--- ${entry.custom_id} ---`);
    printResult(entry.result);
  }
  console.log(`\n${rule}`);
}

/** @param {import("@anthropic-ai/sdk").Anthropic.Messages.MessageBatchResult} result */
function printResult(result) {
  switch (result.type) {
    case "succeeded": {
      const textBlock = result.message.content.find((block) => block.type === "text");
      if (textBlock?.type === "text") console.log(textBlock.text);
      console.log(`Tokens: ${result.message.usage.input_tokens} in / ${result.message.usage.output_tokens} out`);
      break;
    }
    case "errored":
      // error.error.message; a guide that reads error.message prints "undefined" elsewhere than here.
      console.error("Error:", result.error.error.message);
      break;
    case "canceled":
      console.warn("Request was canceled.");
      break;
    case "expired":
      console.warn("Request expired (24-hour limit).");
      break;
  }
}

/** @type {ProductTask[]} */
const products = [
  { id: "product-001", name: "Wireless Bluetooth Headphones", description: "40 hours of play, cancels noise" },
  { id: "product-002", name: "Ergonomic Office Chair", description: "Support for the lower spine, mesh back" },
  { id: "product-003", name: "Smart Water Bottle", description: "Counts what you drink, tells your fitness app" },
];

// A promise that is only followed by .catch(console.error) would let the script exit with 0 after a failure.
await processBatch(products);
