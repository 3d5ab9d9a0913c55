// Create a batch of three product descriptions.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();

const products = [
  "Wireless Bluetooth Headphones that play for 40 hours and cancel noise",
  "Ergonomic Office Chair with a mesh back and support for the lower spine",
  "Smart Water Bottle that counts what you drink and tells your fitness app",
];

const batch = await client.messages.batches.create({
  requests: products.map((product, index) => ({
    custom_id: `product-${String(index + 1).padStart(3, "0")}`,
    params: {
      model: "claude-haiku-4-5-20251001",
      max_tokens: 500,
      messages: [{ role: "user", content: `Write a product description of at most 100 words for: ${product}.` }],
    },
  })),
});

// Batch ids begin with "msgbatch_". Some guides show "batch_…"; treat an id as opaque and both are fine.
console.log("Batch ID:", batch.id);
console.log("Status:", batch.processing_status);
