"""The recommender's way into the registry: judged on held-out interactions, and against the champion on the same."""

from __future__ import annotations

from typing import Any

import mlflow
import torch

from payloads.common.tracking import TrackedRun
from payloads.recommend import evaluate, registry
from payloads.recommend.dataset import Interactions
from payloads.recommend.model import Recommender
from payloads.recommend.retrieve import Retriever
from payloads.recommend.settings import RecommendSettings
from payloads.training import register

CPU = torch.device("cpu")


def submit(
    network: Recommender, settings: RecommendSettings, data: Interactions, client: mlflow.MlflowClient, run: TrackedRun
) -> dict[str, Any]:
    """Log `network` with `run` and make it the champion if it passes; the run's result, whichever way it went.

    May be repeated: what an earlier attempt has logged or registered is found and not made again.
    """
    table = registry.catalogue_of(network, data)
    quality = evaluate.evaluate(Retriever(table), network.ranker, data, settings.k, settings.candidates, CPU)
    for name, value in quality.as_metrics().items():
        client.log_metric(run.id, name, value, step=0)
    uri = registry.log(run, network.ranker, table)

    champion = register.load_champion(client, settings.model_name)
    rival = None
    if champion is not None:
        loaded = registry.load(settings.model_name, champion.version)
        rival = evaluate.evaluate(
            Retriever(loaded.catalogue), loaded.ranker, data, settings.k, settings.candidates, CPU
        )
    verdict = evaluate.judge(quality, rival, settings.gate_lift)
    tags = {"recall": f"{quality.recall:.4f}", "run": settings.run_name, "dataset": data.fingerprint}
    version = register.settle(client, settings.model_name, uri, run, verdict, tags)
    return {
        "run": settings.run_name,
        "run_id": run.id,
        "recall": quality.recall,
        "popular_recall": quality.popular,
        "retrieved_recall": quality.retrieved,
        "ndcg": quality.ndcg,
        "model": settings.model_name,
        "version": version,
        "registered": verdict.passed,
        "reason": verdict.reason,
    }
