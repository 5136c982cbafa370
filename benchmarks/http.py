"""The server under load, beside `mlflow models serve` on the same model; kills, overload, odd bodies, its document.

python -m benchmarks.http [--part speed soak kill overload odd document] [--customers 20000] [--folder DIR]; the last
line is JSON with the figures of the parts that ran. A folder that is given keeps retailer and model for the next time.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.parts.document_peer import examined
from benchmarks.parts.http_load import Body, Connection, Heard, closed_loop, open_loop
from benchmarks.parts.http_servers import Running, World, constants, mlflows, ours, world_in
from benchmarks.parts.mutations import mutations

CONNECTIONS = (1, 8, 64)
SIZES = (1, 100)
OVERLOAD_CUSTOMERS, OVERLOAD_CONNECTIONS, OVERLOAD = 100, 16, 5.0
SOAK_SHARE, SOAK_CONNECTIONS = 0.8, 8
Figures = dict[str, float]


@dataclass(frozen=True)
class Length:
    """How long each measurement takes, how often the server is killed, how many odd bodies and examples are sent."""

    seconds: float
    soak_seconds: float
    kills: int
    bodies: int
    examples: int


def our_body(world: World, customers: int) -> Body:
    """A request for scores of so many customers, others each time."""
    return lambda number: json.dumps({"customers": _some(world, customers, number)}).encode()


def mlflow_body(world: World, customers: int) -> Body:
    """The same for MLflow's server."""

    def body(number: int) -> bytes:
        rows = [[each] for each in _some(world, customers, number)]
        return json.dumps({"dataframe_split": {"columns": ["customer_id"], "data": rows}}).encode()

    return body


def _some(world: World, customers: int, number: int) -> list[str]:
    start = number * 7_919 % max(1, len(world.ids) - customers)
    return world.ids[start : start + customers]


def loaded(server: Running, path: str, body: Body, connections: int, seconds: float) -> tuple[Heard, float]:
    """What came back, and CPU µs of the server a request, after a second of warming up."""
    asyncio.run(closed_loop(server.target(path), body, connections, 1.0))
    before = server.cpu_s
    heard = asyncio.run(closed_loop(server.target(path), body, connections, seconds))
    return heard, 1e6 * (server.cpu_s - before) / max(1, sum(heard.statuses.values()))


def speed(world: World, length: Length) -> Figures:
    """Requests a second, latency and CPU by customers and connections: ours, MLflow's, a constant answer's."""
    figures: Figures = {}
    print(f"\n{'server':<10}{'customers':>10}{'connections':>12}{'1/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs':>9}")
    served = (
        ("ours", ours, "/v1/scores", our_body, SIZES),
        ("mlflow", mlflows, "/invocations", mlflow_body, SIZES),
        ("constant", constants, "/", our_body, SIZES[:1]),
    )
    for name, start, path, body, sizes in served:
        with start(world) as server:
            for size in sizes:
                for connections in CONNECTIONS:
                    heard, cpu_us = loaded(server, path, body(world, size), connections, length.seconds)
                    p50, p99 = heard.percentile(50), heard.percentile(99)
                    print(f"{name:<10}{size:>10}{connections:>12}{heard.per_second:>9.0f}{p50:>9.2f}{p99:>9.2f}"
                          f"{cpu_us:>9.0f}  {dict(heard.statuses)}")  # fmt: skip
                    figures |= {f"{name}_cpu_us_{size}_{connections}": cpu_us,
                                f"{name}_p99_ms_{size}_{connections}": p99,
                                f"{name}_requests_s_{size}_{connections}": heard.per_second}  # fmt: skip
                    figures["errors_5xx"] = figures.get("errors_5xx", 0) + (heard.errors_5xx if name == "ours" else 0)
    for size in SIZES:
        figures[f"cpu_ratio_{size}"] = figures[f"mlflow_cpu_us_{size}_8"] / figures[f"ours_cpu_us_{size}_8"]
    return figures | {"p99_ms_8": figures["ours_p99_ms_1_8"], "requests_s_8": figures["ours_requests_s_1_8"]}


def soak(world: World, length: Length) -> Figures:
    """At 80 % of the peak: no error, flat memory."""
    with ours(world) as server:
        target, body = server.target("/v1/scores"), our_body(world, 1)
        peak = asyncio.run(closed_loop(target, body, SOAK_CONNECTIONS, length.seconds)).per_second
        sizes, statuses, broken, slow, errors = [server.resident_mb], Counter[int](), 0, 0.0, 0
        for _ in range(10):
            heard = asyncio.run(open_loop(target, body, SOAK_SHARE * peak, length.soak_seconds / 10))
            sizes.append(server.resident_mb)
            statuses, broken, slow = statuses + heard.statuses, broken + heard.broken, max(slow, heard.percentile(99))
            errors += heard.errors_5xx
        print(f"\nsoak: {SOAK_SHARE:.0%} of {peak:.0f}/s for {length.soak_seconds:.0f} s: {dict(statuses)}, "
              f"broken {broken}, worst p99 {slow:.1f} ms, MB {' '.join(f'{each:.0f}' for each in sizes)}")  # fmt: skip
    return {"soak_broken": broken, "soak_refused": statuses.total() - statuses[200], "errors_5xx": errors,
            "soak_mb_begin": sizes[1], "soak_mb_end": sizes[-1]}  # fmt: skip


def kill(world: World, length: Length) -> Figures:
    """Kill -9 under load, again and again: nothing acknowledged is lost, nothing counts twice."""
    delivered: dict[str, str] = {}
    decided: dict[str, bytes] = {}
    for turn in range(length.kills):
        with ours(world) as server:
            asyncio.run(_until_killed(server, world, turn, delivered, decided))
    with ours(world) as server:
        lost, changed = asyncio.run(_asked_again(server, world, delivered, decided))
    with closing(sqlite3.connect(world.store / "events.sqlite")) as database:
        query = "SELECT count(*) - count(DISTINCT send_id) FROM interactions WHERE send_id LIKE 'load-%'"
        ((doubled,),) = database.execute(query).fetchall()
    print(f"\nkill: {length.kills} times; {len(delivered):,} events and {len(decided):,} decisions were acknowledged; "
          f"lost {lost}, doubled {doubled}, decisions that changed {changed}")  # fmt: skip
    return {"lost": lost + changed, "doubled": doubled, "acknowledged": len(delivered) + len(decided)}


def _bought(world: World, name: str, customer: str) -> bytes:
    event = {"event_id": name, "send_id": name, "customer_id": customer, "occurred_at": world.as_of,
             "kind": "purchased", "channel": "web", "value": 10}  # fmt: skip
    return json.dumps({"interactions": [event]}).encode()


def _question(world: World, name: str) -> bytes:
    number = int(name.rpartition("-")[2])
    return json.dumps({"request_id": name, "campaign_id": "LOAD", "customers": _some(world, 5, number)}).encode()


async def _until_killed(
    server: Running, world: World, turn: int, delivered: dict[str, str], decided: dict[str, bytes]
) -> None:
    """Eight connections deliver and decide until the server is gone, at a moment by chance once both were answered."""
    rng = random.Random(turn)
    begun = len(delivered), len(decided)
    events, decisions = server.target("/v1/interactions"), server.target("/v1/decisions")

    async def deliver(lane: int) -> None:
        connection = Connection(server.port)
        for number in range(10**6):
            name, customer = f"load-{turn}-{lane}-{number}", world.ids[(lane * 1_000 + number) % len(world.ids)]
            status, _ = await connection.ask(events.request(_bought(world, name, customer)), 5.0)
            if status == 200:
                delivered[name] = customer

    async def decide() -> None:
        connection = Connection(server.port)
        for number in range(10**6):
            name = f"load-{turn}-{number}"
            status, body = await connection.ask(decisions.request(_question(world, name)), 5.0)
            if status == 200:
                decided[name] = body

    tasks = [asyncio.create_task(deliver(lane)) for lane in range(7)] + [asyncio.create_task(decide())]
    while len(delivered) == begun[0] or len(decided) == begun[1]:
        await asyncio.sleep(0.01)
    await asyncio.sleep(rng.uniform(0.2, 1.0))
    os.killpg(server.process.pid, signal.SIGKILL)
    await asyncio.gather(*tasks, return_exceptions=True)
    server.process.wait()


async def _asked_again(
    server: Running, world: World, delivered: dict[str, str], decided: dict[str, bytes]
) -> tuple[int, int]:
    """Acknowledged events that are new to the server, and decisions that are answered otherwise now."""
    connection, lost, changed = Connection(server.port), 0, 0
    for name, customer in delivered.items():
        request = server.target("/v1/interactions").request(_bought(world, name, customer))
        _, body = await connection.ask(request)
        lost += json.loads(body)["known"] != 1
    for name, before in decided.items():
        _, body = await connection.ask(server.target("/v1/decisions").request(_question(world, name)))
        changed += body != before
    return lost, changed


def overload(world: World, length: Length) -> Figures:
    """At five times the peak: what is accepted keeps its p99 within twice, the rest is told at once to come again."""
    with ours(world) as server:
        target, body = server.target("/v1/scores"), our_body(world, OVERLOAD_CUSTOMERS)
        asyncio.run(closed_loop(target, body, OVERLOAD_CONNECTIONS, 1.0))
        peak = asyncio.run(closed_loop(target, body, OVERLOAD_CONNECTIONS, length.seconds))
        heard = asyncio.run(open_loop(target, body, OVERLOAD * peak.per_second, length.seconds, most=512))
    p99_peak, p99, refused = peak.percentile(99), heard.percentile(99), heard.percentile(99, 503)
    print(f"\noverload: peak {peak.per_second:.0f}/s of {OVERLOAD_CUSTOMERS} customers, p99 {p99_peak:.0f} ms; at "
          f"{OVERLOAD:.0f} times: {dict(heard.statuses)}, accepted p99 {p99:.0f} ms, refused p99 {refused:.0f} ms, "
          f"broken {heard.broken}")  # fmt: skip
    return {"overload_p99_ratio": p99 / p99_peak, "overload_refused_p99_ms": refused, "errors_5xx": heard.errors_5xx,
            "overload_accepted_s": heard.per_second}  # fmt: skip


def odd(world: World, length: Length) -> Figures:
    """Bodies that are almost right: no 5xx, no hang."""
    with ours(world) as server:
        heard = asyncio.run(_odd(server, world, length.bodies))
    print(f"\nodd: {length.bodies:,} bodies: {dict(heard.statuses)}, broken {heard.broken}")
    return {"errors_5xx": heard.errors_5xx, "odd_broken": heard.broken}


async def _odd(server: Running, world: World, bodies: int) -> Heard:
    event = json.loads(_bought(world, "odd", world.ids[0]))
    asked = {"customer_id": world.ids[1], "features": {"age": 30}, "interactions": [
        {"occurred_at": world.as_of, "kind": "visited", "channel": "web", "campaign_id": world.campaign, "value": 1}
    ]}  # fmt: skip
    examples = {
        "/v1/scores": {"customers": [world.ids[0], asked], "campaign_id": world.campaign},
        "/v1/interactions": event,
        "/v1/decisions": json.loads(_question(world, "odd-1")),
    }
    heard, connection = Heard(), Connection(server.port)
    for path, example in examples.items():
        for each in islice(mutations(example, seed=len(path)), bodies // len(examples)):
            try:
                status, _ = await connection.ask(server.target(path).request(each.body, each.headers), 10.0)
            except OSError:
                heard.broken += 1
                continue
            heard.add(status, 0.0)
    return heard


def described(world: World, length: Length) -> Figures:
    """Schemathesis over the OpenAPI document: every answer is as the document says, none is 5xx, none stays out."""
    with ours(world) as server:
        found = examined(server, world.folder, length.examples)
    tested, operations = found.operations
    print(f"\ndocument: {found.requests:,} requests to {tested} of {operations} operations, "
          f"{len(found.failures)} kinds of failure {'; '.join(found.failures)}")  # fmt: skip
    return {"document_failures": len(found.failures), "document_requests": found.requests}


RUNS = {"speed": speed, "soak": soak, "kill": kill, "overload": overload, "odd": odd, "document": described}


def main() -> None:
    """Runs the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="*", choices=RUNS, default=list(RUNS))
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=None, help="kept; a temporary folder by default")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--soak-seconds", type=float, default=600.0)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--bodies", type=int, default=20_000)
    parser.add_argument("--examples", type=int, default=50, help="of each operation, for the part document")
    options = parser.parse_args()
    length = Length(options.seconds, options.soak_seconds, options.kills, options.bodies, options.examples)
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        world = world_in(folder, options.customers)
        for part in options.part:
            found = RUNS[part](world, length)
            found["errors_5xx"] = found.get("errors_5xx", 0) + figures.get("errors_5xx", 0)
            figures |= found
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
