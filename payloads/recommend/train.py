"""Driver of a recommender's training: `python -m payloads.recommend.train --run-name first`.

May be started again at any point, on the same Ray cluster or a new one: it goes on after the last epoch of the last
attempt, and a run that has finished only reports its result again.
"""

from __future__ import annotations

from typing import Any

from payloads.common import driver, reporting
from payloads.common.cli import parse
from payloads.common.errors import run_main
from payloads.common.settings import Platform, read_platform
from payloads.recommend.settings import RecommendSettings


def main(arguments: list[str] | None = None) -> None:
    """Parse, connect, train, evaluate, register; prints `progress:` lines and one `result:` line."""
    settings = parse(RecommendSettings, __doc__ or "", arguments)
    platform = read_platform()
    driver.leave_on_sigterm()

    from payloads.common import storage as object_storage
    from payloads.recommend import dataset, interactions

    storage = object_storage.open_storage(platform)
    object_storage.check_storage(storage, platform)
    folder = settings.source or interactions.ensure(
        storage, interactions.World(settings.users, settings.items, settings.history, settings.data_seed)
    )
    data = dataset.read(storage, folder, settings.held_out)
    parts = {"settings": settings.model_dump(mode="json"), "data": data.fingerprint}
    key = driver.key_of(settings.run_name, platform, parts)

    def work(client: Any, run: Any) -> dict[str, Any]:
        return _run(settings, platform, data, storage, client, run, key)

    driver.run_once(platform, settings.experiment, settings.run_name, key, work)


def _run(
    settings: RecommendSettings, platform: Platform, data: Any, storage: Any, client: Any, run: Any, key: str
) -> dict[str, Any]:
    import ray

    from payloads.common import cluster
    from payloads.recommend import gate, loop, steps
    from payloads.training import epochs

    cluster.start_ray()
    run.start(settings.model_dump(mode="json"), driver.lineage(platform, settings.run_name, data.fingerprint))
    reporting.progress(
        f"{len(data.train)} interactions of {len(data.users)} users with {len(data.items)} items, and {len(data.test)} "
        f"held out, fingerprint {data.fingerprint[:12]}"
    )
    weights = epochs.distribute(loop.train_loop, {"data": ray.put(data)}, settings, storage, run, key)
    network = steps.build(data, settings.dim, settings.rank_dim)
    network.load_state_dict(weights)
    return gate.submit(network.eval(), settings, data, client, run)


if __name__ == "__main__":
    run_main(main)
