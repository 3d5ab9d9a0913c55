// Create a batch that labels two reviews.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();

async function createBatch() {
  const batch = await client.messages.batches.create({
    requests: [
      {
        custom_id: "review-1",
        params: {
          model: "claude-sonnet-4-20250514",
          max_tokens: 256,
          messages: [
            { role: "user", content: "Classify this review: 'Great product!' — positive/negative/neutral" },
          ],
        },
      },
      {
        custom_id: "review-2",
        params: {
          model: "claude-sonnet-4-20250514",
          max_tokens: 256,
          messages: [
            { role: "user", content: "Classify this review: 'Terrible, do not buy' — positive/negative/neutral" },
          ],
        },
      },
    ],
  });
  console.log("Batch ID:", batch.id);
  console.log("Status:", batch.processing_status);
  return batch;
}

await createBatch();
