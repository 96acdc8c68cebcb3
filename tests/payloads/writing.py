"""A tiny seq2seq model with its tokenizer, made on the spot and untrained: it writes nonsense, the same every time."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from payloads.text import network
from payloads.text.notes import notes


@cache
def scribbler(endless: bool = False) -> tuple[Any, Any]:
    """Model and tokenizer; an `endless` one never says that it has said all, so it writes as long as it may."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    made = notes(0, 0, 200)
    tokenizer = network.make_tokenizer((text for each in made for text in (each.text, each.summary)), 400)
    model = network.make_model(tokenizer, 16, 1).eval()
    # Left to itself it repeats one letter for ever: no pair of tokens comes twice.
    model.generation_config.no_repeat_ngram_size = 2
    if endless:
        model.generation_config.suppress_tokens = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    return model, tokenizer
