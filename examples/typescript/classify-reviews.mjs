// Label many reviews: one request for each, the labels back beside their reviews.
import Anthropic from "@anthropic-ai/sdk";
import { nextPoll, textOf } from "./sample.mjs";

const client = new Anthropic();

/**
 * @param {string[]} reviews
 * @returns {Promise<Array<{ review: string, sentiment: string }>>}
 */
async function classifyReviews(reviews) {
  const requests = reviews.map((review, i) => ({
    custom_id: `review-${i}`,
    params: {
      // One guide names "claude-haiku-3-5-20241022" here, which never was a model.
      model: "claude-haiku-4-5-20251001",
      max_tokens: 50,
      messages: [
        {
          role: /** @type {const} */ ("user"),
          content: `Classify this review as positive, negative, or neutral. Answer with the label alone.\n"${review}"`,
        },
      ],
    },
  }));

  const batch = await client.messages.batches.create({ requests });
  console.log(`Batch created: ${batch.id} (${requests.length} reviews)`);

  let status;
  do {
    await nextPoll();
    const updated = await client.messages.batches.retrieve(batch.id);
    status = updated.processing_status;
    console.log(`Status: ${status} | Done: ${updated.request_counts.succeeded}`);
  } while (status !== "ended");

  const results = [];
  // Awaited, unlike in the guide: results() gives a promise.
  for await (const { custom_id, result } of await client.messages.batches.results(batch.id)) {
    results.push({
      review: reviews[Number.parseInt(custom_id.split("-")[1], 10)],
      sentiment: result.type === "succeeded" ? textOf(result.message).trim() : "error",
    });
  }
  return results;
}

const labelled = await classifyReviews([
  "I love it, the best kettle I ever had.",
  "Broke after two days, and nobody answers the phone.",
  "It is a kettle. It boils water.",
  "Great value, very happy with it!",
  "Awful smell of plastic, a waste of money.",
  "The box was blue instead of green.",
]);
for (const { review, sentiment } of labelled) console.log(`${sentiment}: ${review}`);
