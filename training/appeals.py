"""To whom a category of campaigns appeals, from who answers its messages; judges no channel.

What a contact adds depends on what it is about: garden tools move other people than electronics do. Few responses tell
so by category, but answers to messages are ten times as many. Who answers campaigns of each category is fitted as what
contacts add is (`models.random_effects`), with a category in the place of a channel. By how much who a customer is, and
where they move, means more in a category than in the others is a score for that category. It stands beside the terms of
the effects as one term more, whose coefficient the responses set (stacking: Wolpert 1992): near 0 where answers tell
nothing of purchases.

Assumed: which channel a campaign went out on depends on its category little enough that the channels' own audiences do
not pass for the category's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.matrix import CAMPAIGN_CATEGORY, FeatureSet
from models.bundle import Bundle
from models.effect_terms import Term
from models.effects import Appeal, ContactEffects
from models.random_effects import Contacts, fit_random_effects
from models.tables import column_of
from training.additive import Followed, design_of, layout_of
from training.effect_views import of_tastes
from training.tastes import LEAST_ANSWERS, LEAST_SPREAD, answered_often


@dataclass(frozen=True)
class Appealing:
    """Categories of campaigns, each of which moves some customers more than others, as answers tell.

    pull: by how much more somebody is moved whom a category suits by a standard deviation more, a share, the mean over
    channels.
    """

    categories: tuple[str, ...]
    pull: float

    @property
    def words(self) -> str:
        """For a reader."""
        told = f"Whom a contact moves depends on what its campaign is about ({', '.join(self.categories)})"
        return f"{told}, as answers tell: one standard deviation of that is worth {self.pull:+.0%} of what it adds"


def appealing(effects: ContactEffects, bundle: Bundle) -> Appealing | None:
    """What the effects of a bundle say of categories; None where they say nothing."""
    appeal = effects.appeal
    if appeal is None:
        return None
    names = FeatureSet.from_json(bundle.manifest.features).codebook.categories
    pull = float(np.expm1(np.mean(appeal.pull)))
    return Appealing(tuple(names[code] for code in appeal.categories), pull)


def fit_appeal(terms: tuple[Term, ...], outbound: Sequence[str], answers: Followed) -> Appeal | None:
    """Scores of all categories with enough answers, without pull; None where fewer than two have.

    Args:
        terms: what the effects read.
        outbound: the channels, in the order of the actions from 1 on.
        answers: which contacts were answered.
    """
    read = [at for at, term in enumerate(terms) if of_tastes(term)]
    if not read or CAMPAIGN_CATEGORY not in answers.views.names:
        return None
    channels = 1 + np.flatnonzero(answered_often(answers, outbound))
    kept = answers.rows(np.flatnonzero(np.isin(answers.seen.action, channels)))
    category = column_of(kept.views, CAMPAIGN_CATEGORY)
    answered = (kept.seen.response.astype(np.float64) > 0) & np.isfinite(category)
    codes, counts = np.unique(category[answered], return_counts=True)
    codes = codes[counts >= LEAST_ANSWERS]
    if len(codes) < 2:
        return None
    own = tuple(terms[at].model_copy(update={"view": None, "channel": None}) for at in read)
    design, outcome = design_of(own, kept.views), kept.seen.response.astype(np.float64)
    of = [np.flatnonzero(category == code) for code in codes]
    found = fit_random_effects(
        [Contacts(design[rows], outcome[rows], kept.base[rows]) for rows in of], layout_of(own, outbound)
    )
    apart = found.weights - found.weights.mean(axis=1, keepdims=True)
    scores = np.concatenate([design[rows] @ apart[:, g] for g, rows in enumerate(of)])
    spread = float(scores.std())
    if spread < LEAST_SPREAD:
        return None
    return Appeal(
        column=CAMPAIGN_CATEGORY,
        categories=tuple(int(code) for code in codes),
        terms=tuple(read),
        weights=tuple(map(tuple, (apart / spread).tolist())),
        pull=(0.0,) * len(outbound),
    )
