"""The one tree of errors, with the exit code and HTTP status of each; raises nothing by itself.

ChannelwiseError
├── UsageError          2 / 400   the caller asked for something that does not exist
│   └── ParameterError  2 / 400   params.yaml, a --params file or a --set is wrong
├── DataError           3 / 422   the input data break the contract
│   └── ArtefactError   3 / 422   a file that channelwise wrote is missing, damaged or of another version
├── RefusedError        4 / 409   a gate says no: limits clash, the challenger is not better, overlap fails
└── StorageError        1 / 507   the disk is full or cannot be written; nothing old was touched
"""

from collections.abc import Sequence
from typing import ClassVar


class ChannelwiseError(Exception):
    """Root of all errors that channelwise raises on purpose; the message says what, where, found, expected, remedy."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500


class UsageError(ChannelwiseError):
    """The caller asked for something that does not exist or does not fit together."""

    exit_code = 2
    http_status = 400


class ParameterError(UsageError):
    """Parameters are wrong; `faults` holds every fault found, each `path: what, expected, remedy`."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        count = f"{len(self.faults)} fault" + ("s" if len(self.faults) > 1 else "")
        super().__init__(f"parameters: {count}\n" + "\n".join(f"  {fault}" for fault in self.faults))


class DataError(ChannelwiseError):
    """The input data break the contract in a way that no quarantine can mend."""

    exit_code = 3
    http_status = 422


class ArtefactError(DataError):
    """A file that channelwise wrote is missing, damaged, or of a version that this one does not read."""


class RefusedError(ChannelwiseError):
    """A gate refused: the limits clash, the challenger is not better, or the overlap carries no claim."""

    exit_code = 4
    http_status = 409


class StorageError(ChannelwiseError):
    """An output could not be written; the old output is whole."""

    exit_code = 1
    http_status = 507
