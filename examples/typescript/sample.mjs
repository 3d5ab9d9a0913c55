// What the other examples share: a small batch to look at when no id is given, and the text of a Message.

/** Milliseconds between two looks at a batch; POLL_SECONDS sets them. */
export const pollMilliseconds = 1000 * Number(process.env.POLL_SECONDS ?? "5");

/** Waits for the next look. */
export const nextPoll = () => new Promise((resolve) => setTimeout(resolve, pollMilliseconds));

/**
 * The id on the command line, or that of a small batch made now.
 * @param {import("@anthropic-ai/sdk").Anthropic} client
 * @returns {Promise<string>}
 */
export async function batchIdFromArguments(client) {
  if (process.argv[2]) return process.argv[2];
  const questions = { tides: "Why are there two tides a day?", bread: "What makes bread rise?" };
  const batch = await client.messages.batches.create({
    requests: Object.entries(questions).map(([name, question]) => ({
      custom_id: `question-${name}`,
      params: {
        model: "claude-haiku-4-5-20251001",
        max_tokens: 200,
        messages: [{ role: "user", content: question }],
      },
    })),
  });
  return batch.id;
}

/**
 * The same, once the batch has ended: results need that.
 * @param {import("@anthropic-ai/sdk").Anthropic} client
 * @returns {Promise<string>}
 */
export async function endedBatchIdFromArguments(client) {
  const batchId = await batchIdFromArguments(client);
  while ((await client.messages.batches.retrieve(batchId)).processing_status !== "ended") await nextPoll();
  return batchId;
}

/**
 * The text of a Message. Its first block need not be text: it may be thinking or a tool use.
 * @param {{ content: Array<{ type: string, text?: string }> }} message
 * @returns {string}
 */
export function textOf(message) {
  return message.content.map((block) => (block.type === "text" ? block.text : "")).join("");
}
