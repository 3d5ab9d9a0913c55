"""Create a batch of two requests. Each has an id of your choice and the params of an ordinary Messages call."""

import anthropic

client = anthropic.Anthropic()

batch = client.messages.batches.create(
    requests=[
        {
            "custom_id": "request-1",
            "params": {
                "model": "claude-sonnet-4-5-20250929",
                "max_tokens": 1024,
                "messages": [{"role": "user", "content": "In two sentences: what is artificial intelligence?"}],
            },
        },
        {
            "custom_id": "request-2",
            "params": {
                "model": "claude-sonnet-4-5-20250929",
                "max_tokens": 1024,
                "messages": [{"role": "user", "content": "In two sentences: what is machine learning?"}],
            },
        },
    ]
)

# Batch ids begin with "msgbatch_". Some guides show "batch_…"; treat an id as opaque and both are fine.
print(f"Batch ID: {batch.id}")
print(f"Status: {batch.processing_status}")
