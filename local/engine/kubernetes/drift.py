"""What of a resource's inputs has changed on the cluster behind the program's back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

_MISSING: Any = object()


def live_inputs(inputs: Mapping[str, Any], expected: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """`inputs` with the live values where the cluster differs.

    `expected` is what the API server makes of `inputs` (a dry run): where the live object equals that, the input stays
    as it was written, so that "1000m" turned into "1" is no change.
    """
    result = _merge(dict(inputs), expected, live)
    return cast(dict[str, Any], result)


def _merge(written: Any, expected: Any, live: Any) -> Any:
    if isinstance(written, dict) and isinstance(expected, Mapping) and isinstance(live, Mapping):
        result: dict[str, Any] = {}
        for key, value in cast(dict[str, Any], written).items():
            wanted = cast(Mapping[str, Any], expected).get(key, _MISSING)
            actual = cast(Mapping[str, Any], live).get(key, _MISSING)
            if wanted is _MISSING:
                # The API server keeps it under another name (stringData) or not at all.
                result[key] = value
            elif actual is not _MISSING:
                result[key] = _merge(value, wanted, actual)
        return result
    if isinstance(written, list) and isinstance(expected, list) and isinstance(live, list):
        lists = cast(list[Any], written), cast(list[Any], expected), cast(list[Any], live)
        if len({len(part) for part in lists}) == 1:
            return [_merge(*triple) for triple in zip(*lists, strict=True)]
    return cast(Any, written if expected == live else live)
