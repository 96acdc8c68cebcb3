"""Text from a model, piece by piece, and stopped before the next one when nobody waits for it any more; no Ray here."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from transformers import AsyncTextIteratorStreamer, StoppingCriteria, StoppingCriteriaList

Finish = Literal["stop", "length", "late"]


@dataclass(frozen=True)
class Piece:
    """Whole words, with the blanks between them."""

    text: str


@dataclass(frozen=True)
class End:
    """The last part. `stop`: the model had said all; `length`: cut off; `late`: the deadline came first."""

    tokens: int
    finish: Finish


@dataclass(frozen=True)
class TooLong:
    """The only part: nothing was generated."""

    tokens: int


Part = Piece | End | TooLong


@dataclass
class Tally:
    """Generations by how they ended, those under way, and tokens generated for all of them."""

    running: int = 0
    finished: int = 0
    late: int = 0
    abandoned: int = 0
    failed: int = 0
    tokens: int = 0


class Stop(StoppingCriteria):
    """Asked by the library after each token, in the thread that generates."""

    def __init__(self, tally: Tally, deadline: float) -> None:
        self.tally = tally
        self.deadline = deadline
        self.unwanted = threading.Event()
        self.late = False

    def __call__(self, input_ids: torch.Tensor, scores: Any, **rest: Any) -> Any:  # noqa: ARG002
        self.tally.tokens += len(input_ids)
        self.late = time.monotonic() > self.deadline
        end = self.late or self.unwanted.is_set()
        return torch.full((len(input_ids),), end, dtype=torch.bool, device=input_ids.device)


class Generator:
    """A seq2seq model with its tokenizer, on the device where the model is. Greedy: the same text, the same answer."""

    def __init__(self, model: Any, tokenizer: Any, prefix: str = "", max_input_tokens: int = 512) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.prefix = prefix
        self.max_input_tokens = max_input_tokens
        self.tally = Tally()

    def report(self) -> dict[str, int]:
        return asdict(self.tally)

    async def stream(self, text: str, max_new_tokens: int, deadline_s: float) -> AsyncIterator[Part]:
        """Pieces of the answer as they come, then its End; or TooLong alone.

        Generation is in a thread. Whoever closes or cancels this ends it too, before its next token.
        """
        ids = self.tokenizer(self.prefix + text, return_tensors="pt")["input_ids"]
        if ids.shape[1] > self.max_input_tokens:
            yield TooLong(ids.shape[1])
            return
        stop = Stop(self.tally, time.monotonic() + deadline_s)
        streamer = AsyncTextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        self.tally.running += 1
        work = asyncio.get_running_loop().run_in_executor(None, self._generate, ids, max_new_tokens, streamer, stop)
        outcome = "abandoned"
        try:
            async for text_piece in streamer:
                if text_piece:
                    yield Piece(text_piece)
            end = await work
            outcome = "late" if end.finish == "late" else "finished"
            yield end
        except Exception:
            outcome = "failed"
            raise
        finally:
            stop.unwanted.set()
            self.tally.running -= 1
            setattr(self.tally, outcome, getattr(self.tally, outcome) + 1)

    @torch.inference_mode()
    def _generate(self, ids: torch.Tensor, max_new_tokens: int, streamer: Any, stop: Stop) -> End:
        ended = False
        try:
            found = self.model.generate(
                input_ids=ids.to(self.model.device),
                attention_mask=torch.ones_like(ids).to(self.model.device),
                max_new_tokens=max_new_tokens,
                num_beams=1,
                do_sample=False,
                streamer=streamer,
                stopping_criteria=StoppingCriteriaList([stop]),
            )
            ended = True
        finally:
            if not ended:  # the library ends the stream only after its last token, and the reader would wait for ever
                streamer.on_finalized_text("", stream_end=True)
        said_all = found[0, -1].item() == self.tokenizer.eos_token_id
        return End(found.shape[1] - 1, "stop" if said_all else "late" if stop.late else "length")
