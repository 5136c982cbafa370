"""Simulated logs of a retailer's decisions, with the true value of a policy, to see how often intervals hold.

A customer takes several decisions and has a mood that none of the columns shows, so rows of a customer depend on each
other. Few answer, baskets are heavy-tailed, the sender prefers some channels by what it knows, the model is wrong.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from training.off_policy import PolicyLog

_RATE = np.array([-3.0, -2.7, -2.6, -2.5, -2.6, -2.4])
_COST_EUR = np.array([0, 0.002, 0.06, 0.0005, 0.85, 0.03])
_TASTE = 0.4 * np.random.default_rng(5).normal(size=(3, 6)) * (np.arange(6) > 0)
_MOOD, _SPREAD = 0.6, 0.8
_PREFERS = np.array([0.0, 1.0, -1.0, 1.0, 0.0, 1.0])


@dataclass(frozen=True)
class World:
    """customers, decisions a customer on average; floor: least chance of an action; wrong: how far the model is off."""

    customers: int
    decisions: float
    floor: float
    wrong: float

    def draw(self, seed: int) -> PolicyLog:
        """A log, the policy being the one that the model thinks best."""
        random = np.random.default_rng(seed)
        own = random.normal(size=(self.customers, 3))
        customer = np.repeat(np.arange(self.customers), 1 + random.poisson(self.decisions - 1, self.customers))
        x, mood = own[customer], random.normal(0, _MOOD, self.customers)[customer]
        likes = np.column_stack([np.full(len(x), 0.5), 1.5 * x @ _TASTE[:, 1:]])
        chance = self.floor + (1 - 6 * self.floor) * softmax(likes, axis=1)
        action = (chance.cumsum(axis=1) > random.random(len(x))[:, None]).argmax(axis=1)
        rows = np.arange(len(x))
        answers = random.random(len(x)) < _response(x, mood)[rows, action]
        basket = _worth(x) * np.exp(random.normal(-(_SPREAD**2) / 2, _SPREAD, len(x)))
        reward = answers * basket - _COST_EUR[action]
        model = self._model(x)
        return PolicyLog(reward, action, chance[rows, action], _best(model), model, customer)

    def truth(self) -> float:
        """EUR per decision of the policy, over two million customers; its standard error is 0.1 %."""
        random = np.random.default_rng(99)
        x, mood = random.normal(size=(2_000_000, 3)), random.normal(0, _MOOD, 2_000_000)
        worth = _response(x, mood) * _worth(x)[:, None] - _COST_EUR
        return float((_best(self._model(x)) * worth).sum(axis=1).mean())

    def _model(self, x):
        response = _response(x, np.zeros(len(x)))
        drawn = 0.7 * response + 0.3 * response.mean(axis=1, keepdims=True)
        return (drawn + 0.02 * self.wrong * _PREFERS) * (15 * np.exp(0.3 * x[:, 1]))[:, None] - _COST_EUR


WORLDS = {
    "3,000 customers, a fair model": World(3_000, 4.0, 0.03, 1.0),
    "3,000 customers, a poor model": World(3_000, 4.0, 0.03, 3.0),
    "600 customers, little overlap": World(600, 4.0, 0.015, 1.0),
}


def _response(x, mood):
    return expit(_RATE + x @ _TASTE + 0.3 * x[:, :1] + mood[:, None])


def _worth(x):
    return 15 * np.exp(0.4 * x[:, 1])


def _best(model):
    chosen = np.zeros_like(model)
    chosen[np.arange(len(model)), model.argmax(axis=1)] = 1.0
    return chosen
