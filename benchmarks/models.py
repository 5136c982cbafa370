"""How much the models know of what a contact changes: plans by their true value, beside peers and what can be known.

python -m benchmarks.models [--part worlds …] [--worlds low_rank cells …] [--seeds 5] [--profile default]
[--customers 20000] [--splits 20] [--threads 2] [--data DIR] [--folder build/models]. The last line is JSON. Findings
are kept in the folder, so that a run that was cut off goes on; they are found anew once the code behind them changes.
"""

import argparse
import json
from pathlib import Path

from benchmarks.parts import worlds as w
from benchmarks.parts.bank import judge_bank
from benchmarks.parts.dr_learners import DR_LEARNERS
from benchmarks.parts.hillstrom import judge_hillstrom, verdict
from benchmarks.parts.kept_results import Figures, KeptResults
from benchmarks.parts.model_figures import (
    bank_lines,
    coverage_summary,
    hillstrom_lines,
    preference_summary,
    share_lines,
    value_summary,
)
from benchmarks.parts.retail_world import WORLDS
from contract.loading import load_params

OF_WORLDS = {"worlds": w.VALUES, "dr_learners": DR_LEARNERS, "preference": w.PREFERENCES}
"""Parts that look into simulated retailers, by what they find out there; `worlds` counts intervals as well."""

HILLSTROM, BANK = "hillstrom", "bank"


def simulated(options: argparse.Namespace, kept: KeptResults) -> Figures:
    """The figures of the simulated retailers."""
    findings = {who: each for part in options.part if part in OF_WORLDS for who, each in OF_WORLDS[part].items()}
    if not findings:
        return {}
    params = load_params(assignments=[f"threads={options.threads}"])
    asked = w.Asked(tuple(options.worlds), options.seeds, options.customers, options.profile, params, kept)
    found = w.judge_worlds(asked, findings)
    print("\n".join(share_lines(found)))
    return value_summary(found) | preference_summary(found) | coverage_summary(found)


def real(options: argparse.Namespace, kept: KeptResults) -> Figures:
    """The figures of Hillstrom's experiment and of the bank."""
    figures: Figures = {}
    if HILLSTROM in options.part:
        source = options.data / "hillstrom" / "hillstrom.csv.gz"
        if not source.exists():
            raise SystemExit(f"{source}: is not there; give the folder that holds hillstrom/ by --data")
        found = judge_hillstrom(source.resolve(), options.splits, options.profile, kept, options.threads)
        verdicts = [verdict(outcome, each) for outcome, each in found.items()]
        print("\n".join([*hillstrom_lines(found), *verdicts]))
        figures[HILLSTROM] = {"values": found, "verdicts": verdicts}
    if BANK in options.part:
        figures[BANK] = judge_bank(options.profile, kept, options.threads)
        print("\n".join(bank_lines(figures[BANK])))
    return figures


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = [*OF_WORLDS, HILLSTROM, BANK]
    parser.add_argument("--part", nargs="+", choices=parts, default=parts)
    parser.add_argument("--worlds", nargs="+", choices=[*WORLDS], default=[*WORLDS])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--profile", choices=["quick", "default", "thorough"], default="default")
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--splits", type=int, default=20, help="of Hillstrom's customers")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds hillstrom/hillstrom.csv.gz")
    parser.add_argument("--folder", type=Path, default=Path("build/models"), help="findings and peers' environments")
    options = parser.parse_args()
    kept = KeptResults(options.folder.resolve())
    print(json.dumps(simulated(options, kept) | real(options, kept)))


if __name__ == "__main__":
    main()
