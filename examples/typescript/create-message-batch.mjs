// Create a batch of two longer requests.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();

const messageBatch = await client.messages.batches.create({
  requests: [
    {
      custom_id: "request-1",
      params: {
        model: "claude-opus-4-7",
        max_tokens: 16000,
        messages: [{ role: "user", content: "Sum up how a warmer climate changes farming" }],
      },
    },
    {
      custom_id: "request-2",
      params: {
        model: "claude-opus-4-7",
        max_tokens: 16000,
        messages: [{ role: "user", content: "Explain the basics of quantum computing" }],
      },
    },
  ],
});

console.log(`Batch ID: ${messageBatch.id}`);
console.log(`Status: ${messageBatch.processing_status}`);
