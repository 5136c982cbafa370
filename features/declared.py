"""Which features the parameters ask for: default ones and added ones, less those left out; computes none."""

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from contract.errors import ParameterError
from contract.params import Params
from features.catalogue import default_features
from features.events import Codebook
from features.grammar import Feature
from features.phrases import added_features


def declared_features(params: Params, codebook: Codebook) -> tuple[Feature, ...]:
    """Default and added features without those of `features.leave_out`, in a stable order.

    Args:
        params: The parameters, whose section `features` declares.
        codebook: The timeline's dictionary; see `default_features`.

    Raises:
        ParameterError: A line of `features.add` is at fault, or `features.leave_out` names what is not there; all
            faults together, with the nearest names.
    """
    every = tuple(dict.fromkeys((*default_features(params, codebook), *added_features(params))))
    _refuse_unknown(params.features.leave_out, [feature.name for feature in every])
    return tuple(each for each in every if not _matches(each.name, params.features.leave_out))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _refuse_unknown(patterns: Sequence[str], names: Sequence[str]) -> None:
    """Names must be there; a pattern may match nothing, since what it is meant for may not have occurred."""
    unknown = [each for each in patterns if not any(sign in each for sign in "*?[") and each not in names]
    if unknown:
        near = {each: get_close_matches(each, names, n=3) or ["none"] for each in unknown}
        lines = [f"'{each}' is no declared feature; nearest: {', '.join(found)}" for each, found in near.items()]
        raise ParameterError([f"features.leave_out: {line}" for line in lines])
