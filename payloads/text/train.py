"""Driver of the small summariser's training: `python -m payloads.text.train --run-name first`.

May be started again at any point, on the same Ray cluster or a new one: it goes on after the last epoch of the last
attempt, and a run that has finished only reports its result again.
"""

from __future__ import annotations

from typing import Any

from payloads.common import driver, reporting
from payloads.common.cli import parse
from payloads.common.errors import run_main
from payloads.common.settings import Platform, read_platform
from payloads.text.settings import TextSettings


def main(arguments: list[str] | None = None) -> None:
    """Parse, connect, train, judge, put onto the storage; prints `progress:` lines and one `result:` line."""
    settings = parse(TextSettings, __doc__ or "", arguments)
    platform = read_platform()
    driver.leave_on_sigterm()

    from payloads.common import storage as object_storage

    storage = object_storage.open_storage(platform)
    object_storage.check_storage(storage, platform)
    key = driver.key_of(settings.run_name, platform, {"settings": settings.model_dump(mode="json")})

    def work(client: Any, run: Any) -> dict[str, Any]:
        return _run(settings, platform, storage, client, run, key)

    driver.run_once(platform, settings.experiment, settings.run_name, key, work)


def _run(settings: TextSettings, platform: Platform, storage: Any, client: Any, run: Any, key: str) -> dict[str, Any]:
    import tempfile
    from pathlib import Path

    from payloads.common import cluster
    from payloads.text import loop, network, store
    from payloads.text.notes import notes
    from payloads.training import epochs

    cluster.start_ray()
    run.start(
        settings.model_dump(mode="json"), driver.lineage(platform, settings.run_name, f"made {settings.data_seed}")
    )
    weights = epochs.distribute(loop.train_loop, {}, settings, storage, run, key)
    model, tokenizer = loop.build(settings)
    model.load_state_dict(weights)

    held_out = notes(settings.data_seed, settings.notes + settings.validation_notes, settings.test_notes)
    longest = max(len(tokenizer(each.summary)["input_ids"]) for each in held_out) + 1
    found = network.summarise(model.eval(), tokenizer, [each.text for each in held_out], longest)
    exact = sum(each.summary == text for each, text in zip(held_out, found, strict=True)) / len(held_out)
    client.log_metric(run.id, "test_exact", exact, step=0)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        version = store.put(storage, settings.model_name, Path(folder))
    client.set_tag(run.id, "manta.weights", storage.path(store.folder_of(settings.model_name), version))
    published = exact >= settings.gate_exact
    if published:
        store.publish(storage, settings.model_name, version)
    word = "passes" if published else "is below"
    reason = f"{exact:.1%} of the summaries are right, which {word} the gate of {settings.gate_exact:.1%}"
    reporting.progress(f"{'published' if published else 'not published'}: {reason}")
    return {
        "run": settings.run_name,
        "run_id": run.id,
        "exact": exact,
        "model": settings.model_name,
        "version": version,
        "published": published,
        "reason": reason,
        "example": {"text": held_out[0].text, "summary": found[0]},
    }


if __name__ == "__main__":
    run_main(main)
