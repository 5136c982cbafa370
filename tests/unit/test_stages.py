"""Time counts for the innermost stage, and once."""

from itertools import count

from contract.stages import Stages


def test_a_stage_within_another_is_not_counted_twice():
    ticks = count()
    stages = Stages(lambda: float(next(ticks)))
    with stages("reading"):  # from 0
        with stages("features"):  # from 1 to 2
            pass
        with stages("features"):  # from 3 to 4
            pass
    assert stages.seconds == {"reading": 3.0, "features": 2.0}


def test_without_a_clock_nothing_is_counted():
    stages = Stages()
    with stages("reading"):
        pass
    assert stages.seconds == {"reading": 0.0}
