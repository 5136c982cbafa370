"""The log of decisions in Redis, for several servers of one store; chooses none.

A decision is kept on condition that nobody decided about the same customers since they were looked at: of two servers
who do so at once, one is told that it was outpaced, and looks again. Several keys are written in one script, so the
server is to be one, not a cluster.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from contract.shared_store import ASKED, DECIDED, ERASED, REQUEST, Shared, connect, reading
from features.event_store import erased_customer, erased_digest
from features.redis_store import rewrite_log
from serving.decision_log import Decided, another_question, digest_of

VERSION: Final = b""
"""Beside the campaigns, which have names."""

_KEEP: Final = """
local held = redis.call('HMGET', KEYS[1], 'question', 'answer')
if held[1] then return {'known', held[1], held[2]} end
local watched = tonumber(ARGV[5])
for i = 1, watched do
  if (redis.call('HGET', KEYS[2 + i], '') or '0') ~= ARGV[5 + i] then return {'outpaced'} end
end
local first = 6 + watched
for i = first, #ARGV, 4 do
  if redis.call('SISMEMBER', KEYS[2], ARGV[i + 1]) == 1 then return {'erased'} end
end
for i = first, #ARGV, 4 do
  local decided = KEYS[2 + tonumber(ARGV[i])]
  redis.call('HSET', decided, ARGV[i + 2], ARGV[i + 3])
  redis.call('HINCRBY', decided, '', 1)
  redis.call('SADD', KEYS[3 + watched + (i - first) / 4], ARGV[4])
end
redis.call('HSET', KEYS[1], 'question', ARGV[1], 'answer', ARGV[2], 'customers', ARGV[3])
return {'kept'}
"""
"""KEYS: the request, the erased, decisions of each watched customer, requests of each decided one. ARGV: question,
answer, customers, request's id, how many are watched, the version of each; then for each decided: place among the
watched, digest, campaign, decision.
"""


class RedisLog:
    """See `DecisionLog`. One object may be used by several threads."""

    def __init__(self, shared: Shared) -> None:
        """Connect.

        Raises:
            UsageError: redis is not installed.
        """
        self._shared, self._client = shared, connect(shared.url)
        self._erased = shared.key(ERASED)
        self._keep = self._client.register_script(_KEEP)

    def answered(self, request_id: str, question: bytes) -> bytes | None:
        """See `DecisionLog`."""
        with reading():
            asked, answer = self._client.hmget(self._shared.key(REQUEST, request_id), "question", "answer")
        return None if asked is None else _same(request_id, question, asked, answer)

    def keep(
        self,
        request_id: str,
        question: bytes,
        answer: bytes,
        decided: Sequence[Decided],
        versions: Mapping[str, int],
    ) -> bytes | None:
        """See `DecisionLog`."""
        shared, watched = self._shared, list(versions)
        places = {each: place for place, each in enumerate(watched, start=1)}
        keys = [shared.key(REQUEST, request_id), self._erased]
        keys += [shared.key(DECIDED, each) for each in watched]
        keys += [shared.key(ASKED, each.customer_id) for each in decided]
        customers = json.dumps([each.customer_id for each in decided])
        words: list[Any] = [digest_of(question), answer, customers, request_id, len(watched), *versions.values()]
        for each in decided:
            digest = erased_digest(each.customer_id)
            words += [places[each.customer_id], digest, each.campaign_id, _written(each)]
        with reading():
            done, *known = self._keep(keys=keys, args=words)
        if done == b"erased":
            raise erased_customer()
        if done == b"known":
            return _same(request_id, question, *known)
        return answer if done == b"kept" else None

    def propensity(self, customer_id: str, campaign_id: str, channel: str | None) -> float | None:
        """See `DecisionLog`."""
        with reading():
            held = self._client.hget(self._shared.key(DECIDED, customer_id), campaign_id)
        return None if held is None else dict(json.loads(held)["propensities"]).get(channel)

    def of_customer(self, customer_id: str) -> list[tuple[str, int, str | None, str]]:
        """See `DecisionLog`."""
        found = [(each.campaign_id, each.made_at_us, each.channel, each.role) for each in self._of(customer_id)]
        return sorted(found, key=lambda each: (-each[1], each[0]))

    def contacts(self, since_us: int) -> Iterator[tuple[str, str, str, int, int]]:
        """See `DecisionLog`."""
        with reading():
            for customer_id, fields in chain.from_iterable(self._shared.hashes(self._client, DECIDED)):
                for made in decisions_in(customer_id, fields):
                    if made.channel is not None and made.made_at_us >= since_us:
                        yield customer_id, made.campaign_id, made.channel, made.earliest_us, made.made_at_us

    def erased_among(self, customer_ids: Sequence[str]) -> list[str]:
        """See `DecisionLog`."""
        if not customer_ids:
            return []
        with reading():
            held = self._client.smismember(self._erased, list(map(erased_digest, customer_ids)))
        return [each for each, is_erased in zip(customer_ids, held, strict=True) if is_erased]

    def forget(self, customer_id: str) -> bool:
        """See `DecisionLog`. The server's log holds what was written until it is rewritten, which this asks for."""
        shared, client = self._shared, self._client
        decided, asked = shared.key(DECIDED, customer_id), shared.key(ASKED, customer_id)
        with reading():
            # First of all, so that whoever is deciding meanwhile cannot keep it.
            client.sadd(self._erased, erased_digest(customer_id))
            requests = [shared.key(REQUEST, each.decode()) for each in client.smembers(asked)]
            held = bool(client.delete(decided, asked, *requests))
            if held:
                rewrite_log(client)
        return held

    def is_erased(self, customer_id: str) -> bool:
        """See `DecisionLog`."""
        return bool(self.erased_among([customer_id]))

    def erased(self) -> Iterator[str]:
        """See `DecisionLog`."""
        with reading():
            yield from sorted(digest.decode() for digest in self._client.smembers(self._erased))

    def close(self) -> None:
        """See `DecisionLog`."""
        self._client.close()

    def _of(self, customer_id: str) -> list[Decided]:
        with reading():
            held = self._client.hgetall(self._shared.key(DECIDED, customer_id))
        return decisions_in(customer_id, held)


def decisions_in(customer_id: str, fields: Mapping[bytes, bytes]) -> list[Decided]:
    """The latest decision about a customer for each campaign, of the fields that Redis holds."""
    return [
        Decided(
            customer_id,
            campaign.decode(),
            each["made_at_us"],
            each["channel"],
            each["role"],
            each["model_version"],
            dict(each["propensities"]),
            each["not_before_us"],
        )
        for campaign, each in ((name, json.loads(text)) for name, text in fields.items() if name != VERSION)
    ]


def _written(each: Decided) -> str:
    tree = {"made_at_us": each.made_at_us, "channel": each.channel, "role": each.role,
            "model_version": each.model_version, "not_before_us": each.not_before_us,
            "propensities": list(each.propensities.items())}  # fmt: skip
    return json.dumps(tree)


def _same(request_id: str, question: bytes, asked: bytes, answer: bytes) -> bytes:
    """The answer, where the question is the one that was asked.

    Raises:
        DataError: it is another.
    """
    if asked != digest_of(question):
        raise another_question(request_id)
    return answer
