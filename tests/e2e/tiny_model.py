"""Writes a small random model as llama.cpp reads one: ``python tiny_model.py FILE``, with gguf and numpy at hand.

It has two layers, an alphabet and a few words, and says nonsense. It never ends by itself: its end token is as likely
as nothing, so each answer is cut by max_tokens or met by a stop sequence.
"""

import sys

import numpy as np
from gguf import GGUFWriter, TokenType

CONTEXT = 2048
WIDTH, HEADS, LAYERS, HIDDEN = 64, 4, 2, 128
WORDS = ["the", "a", "of", "and", "to", "in", "is", "one", "two", "three", "red", "blue", "stop", "yes", "no"]
TEMPLATE = (
    "{% for m in messages %}"
    "{% if m['role'] == 'user' and not m['content'] %}{{ raise_exception('the user says nothing') }}{% endif %}"
    "<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}<assistant>"
)


def vocabulary() -> tuple[list[bytes], list[int], list[float]]:
    """Return tokens, their kinds and scores: three that steer, every byte, words and letters."""
    said = ["\u2581", *(f"\u2581{word}" for word in WORDS), *"abcdefghijklmnopqrstuvwxyz.,"]
    tokens = [
        b"<unk>",
        b"<s>",
        b"</s>",
        *(b"<0x%02X>" % byte for byte in range(256)),
        *(text.encode() for text in said),
    ]
    kinds = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
    kinds += [TokenType.BYTE] * 256 + [TokenType.NORMAL] * len(said)
    scores = [0.0] * 3 + [-1000.0] * 256 + [-float(place) for place in range(len(said))]
    return tokens, [int(kind) for kind in kinds], scores


def write(file: str, seed: int = 7) -> None:
    """Write the model."""
    random = np.random.default_rng(seed)
    tokens, kinds, scores = vocabulary()
    out = GGUFWriter(file, "llama")
    out.add_name("tiny")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(HIDDEN)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(WIDTH // HEADS)
    out.add_vocab_size(len(tokens))
    out.add_file_type(0)
    out.add_tokenizer_model("llama")
    out.add_token_list(tokens)
    out.add_token_scores(scores)
    out.add_token_types(kinds)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_unk_token_id(0)
    out.add_add_bos_token(True)
    out.add_chat_template(TEMPLATE)

    def random_tensor(name: str, *shape: int) -> None:
        out.add_tensor(name, random.normal(0.0, 0.3, shape).astype(np.float32))

    random_tensor("token_embd.weight", len(tokens), WIDTH)
    out.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    said = random.normal(0.0, 0.3, (len(tokens), WIDTH)).astype(np.float32)
    said[:259] = 0.0  # what steers, and bare bytes, are not said
    out.add_tensor("output.weight", said)
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            out.add_tensor(f"blk.{layer}.{name}.weight", np.ones(WIDTH, np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            random_tensor(f"blk.{layer}.{name}.weight", WIDTH, WIDTH)
        random_tensor(f"blk.{layer}.ffn_gate.weight", HIDDEN, WIDTH)
        random_tensor(f"blk.{layer}.ffn_up.weight", HIDDEN, WIDTH)
        random_tensor(f"blk.{layer}.ffn_down.weight", WIDTH, HIDDEN)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if __name__ == "__main__":
    write(sys.argv[1])
