"""Plans in order of their moment: prices of their limits and their mix of channels, the newest beside earlier ones.

Reads the JSON that `plan` writes beside a plan; limits are those of all its campaigns together. From five plans on the
newest step is tested as figures of periods are.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from contract.errors import DataError
from serving.watching.comparing import Past, figure, judged
from serving.watching.findings import Finding, PlanFigures
from serving.watching.moderated import discoveries, holm, moderated

LEAST_PLANS: Final = 5
_CENT: Final = 0.01
_SHARE: Final = 0.005
"""Less than a cent of price and half a per cent of contacts are as good as none."""


def read_plans(files: Sequence[Path]) -> tuple[PlanFigures, ...]:
    """The figures of plans, the earliest first.

    Raises:
        DataError: a file is none that `plan` wrote.
    """
    found = [_read(file) for file in files]
    return tuple(sorted(found, key=lambda each: each.as_of or ""))


def _read(file: Path) -> PlanFigures:
    try:
        tree: Any = json.loads(file.read_bytes())
        campaigns = tree.get("campaigns", [tree])
        mix: Counter[str] = Counter()
        for each in campaigns:
            mix.update({name: int(count) for name, count in each["mix"].items()})
        return PlanFigures(
            file=file.name,
            campaign_id=", ".join(each["campaign_id"] for each in campaigns if each["campaign_id"]) or None,
            as_of=campaigns[0]["as_of"],
            contacts=sum(int(each["contacts"]) for each in campaigns),
            net_eur=sum(float(each["net_eur"]) for each in campaigns),
            prices={each["name"]: float(each["price_eur"]) for each in tree["joint"]["limits"]},
            mix=dict(mix),
        )
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); give the JSON that `plan` wrote") from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise DataError(f"{file}: is no plan's report ({error!r}); give the JSON that `plan` wrote") from error


def compare_plans(past: Past, plans: Sequence[PlanFigures]) -> list[Finding]:
    """The newest plan's step against the steps between earlier ones; nothing below five plans."""
    if len(plans) < LEAST_PLANS:
        return []
    prices = sorted(set.intersection(*(set(each.prices) for each in plans)))
    channels = sorted(set().union(*(each.mix for each in plans)))
    series = {f"price of {name}": [each.prices[name] + _CENT for each in plans] for name in prices}
    series |= {
        f"share of contacts by {name}": [each.mix.get(name, 0) / max(1, each.contacts) + _SHARE for each in plans]
        for name in channels
    }
    if not series:
        return []
    steps = np.diff(np.log(np.array(list(series.values()))), axis=1)
    tested = moderated(steps[:, -1], steps[:, :-1], 1)
    p = tested.p_two_sided
    adjusted, discovered = holm(p), discoveries(p)
    found = []
    for row, (name, values) in enumerate(series.items()):
        change = float(steps[row, -1] - tested.expected[row])
        verdict = judged(past, adjusted[row], discovered[row], np.expm1(abs(change)), past.settings.min_change)
        effect = float(np.expm1(change))
        words = f"{figure(values[-2])} → {figure(values[-1])}, {effect:+.0%} against the steps of earlier plans"
        found.append(
            Finding(
                "plans", name, verdict, values[-2], values[-1], effect, tested.p_two_sided[row], adjusted[row], words
            )
        )
    return found
