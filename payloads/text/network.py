"""A small T5 and its tokenizer, made on the spot, in the form that `from_pretrained` reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from payloads.common.errors import PayloadError
from payloads.common.storage import first_line
from payloads.text.notes import Note

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
IGNORED = -100  # of the labels, by the loss


def make_tokenizer(texts: Iterable[str], words: int) -> PreTrainedTokenizerFast:
    """A byte-pair tokenizer of at most `words` tokens, learned from `texts`; as T5's, sequences end with `</s>`."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=words, special_tokens=[PAD, END, UNKNOWN], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, unk_token=UNKNOWN)


def make_model(tokenizer: PreTrainedTokenizerFast, width: int, layers: int) -> T5ForConditionalGeneration:
    """An untrained T5 with `layers` layers on either side and 4 heads, for this tokenizer."""
    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=width,
            d_kv=max(1, width // 4),
            d_ff=2 * width,
            num_layers=layers,
            num_heads=4,
            dropout_rate=0.0,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.pad_token_id,
        )
    )


def encode(tokenizer: Any, notes: Sequence[Note], device: torch.device) -> dict[str, torch.Tensor]:
    """What the model takes: input_ids, attention_mask and labels, int64 [notes, longest]."""
    inputs = tokenizer([each.text for each in notes], padding=True, return_tensors="pt")
    labels = tokenizer([each.summary for each in notes], padding=True, return_tensors="pt")
    wanted = labels["input_ids"].masked_fill(labels["attention_mask"] == 0, IGNORED)
    return {
        "input_ids": inputs["input_ids"].to(device),
        "attention_mask": inputs["attention_mask"].to(device),
        "labels": wanted.to(device),
    }


@torch.inference_mode()
def summarise(model: Any, tokenizer: Any, texts: Sequence[str], max_new_tokens: int) -> list[str]:
    """Greedy summaries of `texts`, as they are served."""
    inputs = tokenizer(list(texts), padding=True, return_tensors="pt").to(model.device)
    inputs.pop("token_type_ids", None)
    found = model.generate(**inputs, max_new_tokens=max_new_tokens, num_beams=1, do_sample=False)
    return tokenizer.batch_decode(found, skip_special_tokens=True)


def load(folder: Path) -> tuple[Any, Any]:
    """Model and tokenizer of a folder: from safetensors alone, no internet, no code that the folder brings.

    Raises PayloadError if the library cannot read it as an encoder and a decoder.
    """
    try:
        tokenizer = load_tokenizer(folder)
        model = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise PayloadError(f"{folder} is no seq2seq model that Transformers reads: {first_line(error)}") from error
    return model.eval(), tokenizer


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder; weights need not be there."""
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)
