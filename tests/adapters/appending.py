"""Appends events to a SQLite store until it is killed, and prints the number of each as soon as it is acknowledged.

`python appending.py FILE FIRST`: event i is of customer i % 7, at second 1,000 + (i * 7919) % 10,007 of 2024.
"""

import sys
from pathlib import Path

from contract.loading import load_params
from features.event_store import Interaction
from features.sqlite_store import SqliteStore

START_US = 1_704_067_200_000_000


def numbered(number: int) -> Interaction:
    """The event of this number; many arrive late."""
    second = 1_000 + number * 7_919 % 10_007
    return Interaction(f"c{number % 7}", START_US + second * 1_000_000, "visited", "web", send_id=str(number))


if __name__ == "__main__":
    store = SqliteStore(Path(sys.argv[1]), load_params())
    number = int(sys.argv[2])
    while True:
        store.append(numbered(number))
        print(number, flush=True)
        number += 1
