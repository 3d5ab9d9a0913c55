"""A batch whose requests offer a tool. The answer is a tool use: run the tool, and send the result in a later batch."""

import os
import time

import anthropic

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))

client = anthropic.Anthropic()

batch = client.messages.batches.create(
    requests=[
        {
            "custom_id": "weather-sf",
            "params": {
                "model": "claude-sonnet-4-5-20250929",
                "max_tokens": 1024,
                "tools": [
                    {
                        "name": "get_weather",
                        "description": "Get the weather of a place",
                        "input_schema": {
                            "type": "object",
                            "properties": {"location": {"type": "string", "description": "City and country"}},
                            "required": ["location"],
                        },
                    }
                ],
                "messages": [{"role": "user", "content": "What is the weather in San Francisco?"}],
            },
        }
    ]
)

while client.messages.batches.retrieve(batch.id).processing_status != "ended":
    time.sleep(POLL_SECONDS)

for response in client.messages.batches.results(batch.id):
    if response.result.type != "succeeded":
        print(f"{response.custom_id}: {response.result.type}")
        continue
    print(f"{response.custom_id}: stopped for {response.result.message.stop_reason}")
    for block in response.result.message.content:
        if block.type == "tool_use":
            print(f"Tool: {block.name} with {block.input}")
        elif block.type == "text":
            print(f"Text: {block.text}")
