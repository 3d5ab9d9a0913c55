"""Runs where any-llm is installed: its translations of params and completions, a line of JSON for a line of JSON.

It knows nothing of this project. ``{"params": …}`` and ``{"completion": …}`` go in; what they become, or how the other
converter refuses them, comes out. The lock file holds the version whose inner functions these are.
"""

import json
import sys
from typing import Any

from any_llm.providers.openai.utils import _convert_chat_completion as read_completion
from any_llm.types.messages import MessagesParams
from any_llm.utils.messages_compat import chat_completion_to_message_response, messages_params_to_completion_params
from openai.types.chat import ChatCompletion


def translated(asked: dict[str, Any]) -> Any:
    """Return what the other converter makes of it."""
    if "params" in asked:
        params = dict(asked["params"])
        if "output_config" in params:  # its own word for it
            params["output_format"] = params.pop("output_config")
        return messages_params_to_completion_params(MessagesParams(**params))
    completion = ChatCompletion.model_validate({"object": "chat.completion", "created": 1, **asked["completion"]})
    return chat_completion_to_message_response(read_completion(completion)).model_dump(mode="json", exclude_none=True)


for line in sys.stdin:
    try:
        answer = {"is": translated(json.loads(line))}
    except Exception as wrong:  # noqa: BLE001 - whatever it is, it is the answer
        answer = {"refused": str(wrong)}
    sys.stdout.write(json.dumps(answer) + "\n")
