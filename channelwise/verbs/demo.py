"""`channelwise demo`: the whole job on data that is there, without anything to prepare."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from channelwise.console import say
from channelwise.options import Assignments, ParamsFiles


class Demo(StrEnum):
    """What to run on."""

    RETAILER = "retailer"
    BANK = "bank"


def demo(
    what: Annotated[Demo, typer.Argument(help="A simulated retailer, or a bank's real calls.")] = Demo.RETAILER,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write.")] = Path("demo-output"),
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Check, train, score and plan on a simulated retailer or on real bank data, and say how good it was.

    Example: channelwise demo bank
    """
    from channelwise.demos.bank import demo_bank
    from channelwise.demos.retailer import demo_retailer

    run = {Demo.RETAILER: demo_retailer, Demo.BANK: demo_bank}[what]
    folder = out / what.value
    run(folder, params or [], assignments or [])
    say(
        f"""
What to look at next
  {folder / "card.html"}     the model card: what was learned, how well, and what it cannot say
  {folder / "plan.html"}     the plan as a page: forecast, limits and their price, budget, who is left out
  {folder / "plan.parquet"}  whom to contact, on which channel, at what worth, with which probability
  {folder / "data"}          the input tables: the form that your own data takes
  README.md                  the same job on your own tables"""
    )
