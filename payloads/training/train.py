"""Driver of a digits training: `python -m payloads.training.train --run-name first`.

May be started again at any point, on the same Ray cluster or a new one: it goes on where the last attempt stopped, and
a run that has finished only reports its result again.
"""

from __future__ import annotations

import hashlib
import json
import signal
from typing import TYPE_CHECKING, Any

from payloads.common import reporting
from payloads.common.cli import parse
from payloads.common.errors import run_main
from payloads.common.settings import Platform, read_platform
from payloads.training.settings import TrainSettings

if TYPE_CHECKING:
    from payloads.data.digits import Manifest


def main(arguments: list[str] | None = None) -> None:
    """Parse, connect, train, evaluate, register; prints `progress:` lines and one `result:` line."""
    settings = parse(TrainSettings, __doc__ or "", arguments)
    platform = read_platform()
    signal.signal(signal.SIGTERM, _terminate)

    # Imported here: --help and a bad flag must not cost the seconds that torch and MLflow take.
    from payloads.common import storage as object_storage
    from payloads.common import tracking
    from payloads.data import digits

    storage = object_storage.open_storage(platform)
    object_storage.check_storage(storage, platform)
    manifest = digits.ensure(storage)
    key = run_key(settings, platform, manifest)
    with tracking.explained(platform):
        client = tracking.connect(platform)
        run = tracking.find_or_create(client, settings.experiment, key, settings.run_name)
        if run.result is not None:
            reporting.progress(f"run {settings.run_name} has already finished, nothing is trained again")
            reporting.result(json.loads(run.result))
            return
        try:
            result = _run(settings, platform, manifest, storage, client, run, key)
            run.finish(json.dumps(result))
        except BaseException as error:
            run.abandon("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
    reporting.result(result)


def run_key(settings: TrainSettings, platform: Platform, manifest: Manifest) -> str:
    """Identity of a run: `<name>-<hash>` of everything that its result depends on.

    A retry has the same key and resumes. New parameters, code, image or data under an old name are another run: its
    checkpoints belong to another model.
    """
    parts = {
        "settings": settings.model_dump(mode="json"),
        "bundle": platform.bundle_hash,
        "image": platform.image,
        "data": manifest.fingerprint,
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{settings.run_name}-{digest[:12]}"


def _run(
    settings: TrainSettings, platform: Platform, manifest: Manifest, storage: Any, client: Any, run: Any, key: str
) -> dict[str, Any]:
    import numpy as np

    from payloads.data import pipeline, splits
    from payloads.training import evaluate, fit, register

    fit.start_ray()
    run.start(
        settings.model_dump(mode="json"),
        {
            "manta.run": settings.run_name,
            "manta.stack": platform.stack,
            "manta.bundle": platform.bundle_hash,
            "manta.image": platform.image,
            "manta.dataset": manifest.fingerprint,
            "manta.ray_job": fit.job_id(),
        },
    )
    reporting.progress(f"data set {manifest.name}: {manifest.rows} rows, fingerprint {manifest.fingerprint[:12]}")
    fractions = splits.Fractions(settings.validation_fraction, settings.test_fraction)
    data = pipeline.prepare(pipeline.read(storage, manifest), manifest, fractions, settings.split_seed)
    best = fit.fit(settings, storage, data, run, key)

    classifier = fit.load_classifier(best, settings, data)
    evaluation = evaluate.evaluate(classifier, data.test, len(data.classes))
    for name, value in evaluate.as_metrics(evaluation).items():
        client.log_metric(run.id, name, value, step=0)
    client.log_text(run.id, data.scaler.to_json(), "scaler.json")
    client.log_text(run.id, json.dumps(evaluation.confusion.tolist()), "confusion.json")
    example = np.stack([row["pixels"] for row in data.test.take(2)]).astype(np.float32)
    uri = register.log_model(run, classifier, example, data.classes)

    champion = register.load_champion(client, settings.model_name)
    rival = None if champion is None else evaluate.evaluate(champion.model, data.test, len(data.classes))
    verdict = evaluate.judge(evaluation, rival, settings.gate_accuracy)
    version = None
    if verdict.passed:
        tags = {"accuracy": f"{evaluation.accuracy:.4f}", "run": settings.run_name, "dataset": manifest.fingerprint}
        version = register.register(client, settings.model_name, uri, run, tags).version
        register.crown(client, settings.model_name, version)
    reporting.progress(f"{'registered' if verdict.passed else 'not registered'}: {verdict.reason}")
    return {
        "run": settings.run_name,
        "run_id": run.id,
        "accuracy": evaluation.accuracy,
        "model": settings.model_name,
        "version": None if version is None else str(version),
        "registered": verdict.passed,
        "reason": verdict.reason,
    }


def _terminate(number: int, _frame: Any) -> None:
    # Kubernetes and `ray job stop` send SIGTERM: leave through the exception path, so the tracking run ends as KILLED.
    raise SystemExit(128 + number)


if __name__ == "__main__":
    run_main(main)
