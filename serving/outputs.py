"""Where scores go: two files, or two tables of a DuckDB file or a PostgreSQL database; all rows appear at once."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from contract.delivery import Place
from contract.errors import StorageError, UsageError
from contract.files import refuse_unusable
from contract.postgres import PostgresAddress
from contract.postgres_delivery import deliver_to_postgres
from serving.scores import ENGAGEMENT_SCHEMA, SCORE_SCHEMA

FILES: Final = (".parquet", ".csv")
DATABASES: Final = (".duckdb", ".db")
SCORES, ENGAGEMENT = "scores", "engagement"
"""Names of the tables in a database."""


@dataclass(frozen=True)
class Outputs:
    """Where the scores and the engagement preferences go.

    place: what was asked for; work: the path beside which parts under way are kept.
    """

    place: Place
    work: Path

    @classmethod
    def of(cls, place: Place) -> "Outputs":
        """Files `NAME.SUFFIX` and `NAME.engagement.SUFFIX`, or the tables `scores` and `engagement` of a database.

        Raises:
            UsageError: nothing can be written in that form, or the path is a folder.
        """
        if isinstance(place, PostgresAddress):
            name = hashlib.sha256(place.name.encode()).hexdigest()[:12]
            return cls(place, Path(f"scores-{name}"))
        if place.suffix not in (*FILES, *DATABASES):
            forms = ", ".join((*FILES, *DATABASES))
            raise UsageError(
                f"--out: found '{place}'; expected a file that ends in {forms}, or postgresql://USER@HOST/DATABASE"
            )
        outputs = cls(place, place)
        refuse_unusable([place] if outputs.database else [outputs.engagement, place])
        return outputs

    @property
    def database(self) -> bool:
        """Whether tables are written."""
        return isinstance(self.place, PostgresAddress) or self.place.suffix in DATABASES

    @property
    def beside(self) -> Path:
        """The scores' file, or with a database the name of one, beside whose name further files are written."""
        return self.work.with_suffix(".parquet") if self.database else self.work

    @property
    def engagement(self) -> Path:
        """The file of the engagement preferences."""
        return self.work.with_name(f"{self.work.stem}.engagement{self.work.suffix}")

    def targets(self, folder: Path) -> dict[Path, pa.Schema]:
        """The files to make, engagement first; those of a database lie in the folder until they are delivered."""
        if not self.database:
            return {self.engagement: ENGAGEMENT_SCHEMA, self.work: SCORE_SCHEMA}
        suffix = ".csv" if isinstance(self.place, PostgresAddress) else ".parquet"
        return {folder / f"{ENGAGEMENT}{suffix}": ENGAGEMENT_SCHEMA, folder / f"{SCORES}{suffix}": SCORE_SCHEMA}

    def deliver(self, folder: Path) -> None:
        """Brings the files of `targets` into the database, if one was asked for, in one transaction.

        Raises:
            StorageError: it cannot be written; what was there before is whole.
            UsageError: the address cannot be read or reached.
        """
        if isinstance(self.place, PostgresAddress):
            made = self.targets(folder).items()
            deliver_to_postgres(self.place, {path.stem: (schema, path) for path, schema in made})
        elif self.database:
            _into_duckdb(self.place, list(self.targets(folder)))

    def __str__(self) -> str:
        if self.database:
            return f"Tables {SCORES} and {ENGAGEMENT} in {self.place}"
        return f"Scores: {self.work}\nEngagement preferences: {self.engagement}"


def _into_duckdb(path: Path, files: list[Path]) -> None:
    try:
        with duckdb.connect(path) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.begin()
            for file in files:
                source = str(file).replace("'", "''")
                connection.execute(f"CREATE OR REPLACE TABLE {file.stem} AS FROM read_parquet('{source}')")
            connection.commit()
    except (duckdb.IOException, duckdb.CatalogException) as error:
        raise StorageError(
            f"{path}: cannot be written ({str(error).splitlines()[0]}); what was there before is whole; close what has "
            "it open, free space, or name another file"
        ) from error
