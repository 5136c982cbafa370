"""The timeline's engine on Spark: joins and sorts on a cluster what DuckDB checked and permitted; computes no feature.

Both hand over Parquet in one scratch folder, so the driver holds a batch at a time, never a partition. Times cross as
microseconds and amounts as cents: no time zone and no rounding is left to the second engine.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from contract.errors import ChannelwiseError, StorageError, UsageError
from contract.params import Spark
from features.encoding import Clock
from features.engines import (
    BATCH_ROWS,
    CAMPAIGNS,
    CENTS,
    NUMBERED,
    SURVEY_COLUMNS,
    DuckdbEngine,
    EngineMaker,
    Source,
    Survey,
    Window,
    code_table,
    surveyed,
)
from features.events import EventCode
from features.permission import PERMITTED

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PARTITION_ROWS: Final = 2_000_000
"""Events that one task sorts, about; what does not fit its memory, Spark spills."""

BUFFER_BYTES: Final = 1 << 20

_FIXED: Final = {"spark.sql.session.timeZone": "UTC"}
_QUIET: Final = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.parquet.compression.codec": "lz4_raw",
}
_LOGGING: Final = """rootLogger.level = error
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = spark: %m%n
"""
_SHORT_OF: Final = ("No space left on device", "OutOfMemoryError", "SparkOutOfMemoryError")


@contextmanager
def spark_engine(settings: Spark, python: str) -> Iterator[EngineMaker]:
    """Engines on one Spark session, which ends with them unless it was running before.

    Args:
        settings: Master, scratch folder and further settings.
        python: The interpreter that Spark starts where Python runs on a worker.

    Raises:
        UsageError: PySpark or Java is missing, or Spark does not start with these settings.
        StorageError: The scratch folder cannot be written.
    """
    with _scratch(settings.scratch) as folder, _session(settings, python, folder) as session:
        yield partial(SparkEngine, session, folder)


def running_session() -> "SparkSession":
    """The session under which `spark_engine` made its engines.

    Raises:
        UsageError: there is none.
    """
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is None:
        raise UsageError("--engine spark: no session of Spark is running; score within `spark_engine`")
    return session


class SparkEngine:
    """Spark over the checked and permitted events of one window, which DuckDB streams into Parquet parts."""

    def __init__(self, session: "SparkSession", folder: Path, source: Source, window: Window) -> None:
        self.session = session
        self.folder = Path(mkdtemp(prefix="timeline-", dir=folder))
        self.window = window
        self._duckdb = DuckdbEngine(source, window)
        self._rows = 0

    def customer_ids(self) -> pa.Array:
        """See `Engine`; also writes what Spark reads from then on."""
        ids = self._duckdb.customer_ids()
        tables = {
            "customers": f"FROM {NUMBERED}",
            "campaigns": f"FROM {CAMPAIGNS}",
            "events": f"""SELECT customer_id, epoch_us(occurred_at) AS time_us, kind, channel, campaign_id,
                          {CENTS} AS cents FROM {PERMITTED} WHERE {self.window.sql}""",  # noqa: S608  names and integers of ours
        }
        for name, query in tables.items():
            _write_parts(self._duckdb.connection, query, self.folder / name)
        return ids

    def categories(self) -> tuple[str, ...]:
        """See `Engine`."""
        return self._duckdb.categories()

    def survey(self) -> Survey:
        """See `Engine`."""
        from pyspark.sql import functions as f

        time = f.col("time_us")
        found = (
            self._described_events()
            .groupBy("kind", "channel", "category", "transactional")
            .agg(
                f.min(time),
                f.max(time),
                f.bool_and(f.pmod(time, f.lit(1_000_000)) == 0),
                f.max(f.abs("cents")),
                f.count("*"),
            )
            .toDF(*SURVEY_COLUMNS)
        )
        rows = [tuple(row.values()) for part in self._written(found, "survey") for row in part.to_pylist()]
        survey = surveyed(rows)
        self._rows = survey.rows
        return survey

    def sorted_events(self, codes: Sequence[EventCode], clock: Clock) -> Iterator[pa.RecordBatch]:
        """See `Engine`; partitions are ranges of customers, so that their files in order are all events in order."""
        order = ("number", "tick", "code", "cents")
        partitions = max(self.session.sparkContext.defaultParallelism, -(-self._rows // PARTITION_ROWS))
        ranged = self._coded_events(codes, clock).repartitionByRange(partitions, "number")
        yield from self._written(ranged.sortWithinPartitions(*order).select(*order), "sorted")

    def _written(self, frame: "DataFrame", name: str) -> Iterator[pa.RecordBatch]:
        """The rows of a frame by way of a folder of Parquet, in the order of its partitions."""
        target = self.folder / name
        with spoken(f"writing '{name}'"):
            frame.write.mode("overwrite").parquet(target.as_uri())
        # Spark numbers the parts of a partition after the partition, so that their names ascend as their rows do.
        for part in sorted(target.glob("part-*.parquet")):
            with pq.ParquetFile(part, buffer_size=BUFFER_BYTES) as file:
                yield from file.iter_batches(BATCH_ROWS, use_threads=False)

    def _read(self, name: str) -> "DataFrame":
        return self.session.read.parquet((self.folder / name).as_uri())

    def _described_events(self) -> "DataFrame":
        """(number, time_us, kind, channel, category, transactional, cents) of each event of a known customer."""
        from pyspark.sql import functions as f

        return (
            self._read("events")
            .join(self._read("customers"), "customer_id")
            .join(self._read("campaigns"), "campaign_id", "left")
            .withColumn("transactional", f.coalesce("transactional", f.lit(False)))
            .drop("customer_id", "campaign_id")
        )

    def _coded_events(self, codes: Sequence[EventCode], clock: Clock) -> "DataFrame":
        from pyspark.sql import functions as f

        pq.write_table(code_table(codes), self.folder / "codes.parquet")
        events, known = self._described_events(), f.broadcast(self._read("codes.parquet"))
        same = [events[name].eqNullSafe(known[name]) for name in EventCode._fields]
        ticks = f"(time_us - {clock.base_us}L) div {clock.tick_us}L"
        return events.join(known, same).select("number", f.expr(ticks).alias("tick"), "code", "cents")


@contextmanager
def spoken(doing: str) -> Iterator[None]:
    """Says in one sentence why Spark stopped.

    Raises:
        StorageError: disk or memory of the driver or a worker do not suffice.
        ChannelwiseError: any other failure of Spark.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException) as error:
        text = str(error)
        reason = next((line.strip() for line in text.splitlines() if any(each in line for each in _SHORT_OF)), None)
        if reason is None:
            raise ChannelwiseError(f"spark: {doing} failed: {_gist(text)}") from error
        raise StorageError(
            f"spark: {doing} needs more than there is ({reason[:200]}); free disk under spark.scratch, or raise "
            "spark.driver.memory (local) or spark.executor.memory under spark.settings"
        ) from error


def _gist(text: str) -> str:
    """The sentence of a Java stack trace that names the cause."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if line.startswith(("java.", "org.", "Caused by:", ":"))]
    return (named or lines or ["no reason given"])[0].removeprefix(": ")[:300]


@contextmanager
def _session(settings: Spark, python: str, folder: Path) -> Iterator["SparkSession"]:
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise UsageError(
            "--engine spark: PySpark is not installed; pip install 'channelwise[spark]', or use --engine duckdb"
        ) from error
    running = SparkSession.getActiveSession()
    if running is not None:
        yield running
        return
    logging = folder / "log4j2.properties"
    logging.write_text(_LOGGING, encoding="utf-8")
    session = _started(SparkSession, settings, spark_settings(settings, python, logging))
    try:
        yield session
    finally:
        session.stop()


def _started(kind: "type[SparkSession]", settings: Spark, all_settings: Mapping[str, str]) -> "SparkSession":
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    builder = kind.builder.appName("channelwise").master(settings.master)
    for name, value in all_settings.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
        # PySpark itself reads only an environment variable.
        session.sparkContext.pythonExec = all_settings["spark.pyspark.python"]
        return session
    except (Py4JError, PySparkException) as error:
        if "JAVA_GATEWAY_EXITED" in str(error):
            raise UsageError(
                "--engine spark: Spark's Java process did not start; Spark needs Java 17 on PATH or under JAVA_HOME "
                "(on Debian the package openjdk-17-jre-headless) and settings that it knows; install it, correct "
                f"spark.master '{settings.master}' or spark.settings if Spark names them above, or use --engine duckdb"
            ) from error
        raise UsageError(
            f"--engine spark: Spark does not start on spark.master '{settings.master}': {_gist(str(error))}; "
            "correct spark.master or spark.settings in params.yaml"
        ) from error


def spark_settings(settings: Spark, python: str, logging: Path) -> Mapping[str, str]:
    """What Spark is started with: quiet and on the loopback, unless the parameters say otherwise; always in UTC."""
    quiet = {**_QUIET, "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={logging.as_uri()}"}
    interpreters = {"spark.pyspark.python": python, "spark.pyspark.driver.python": python}
    return {**quiet, **interpreters, **settings.texts, **_FIXED}


@contextmanager
def _scratch(parent: str | None) -> Iterator[Path]:
    try:
        folder = TemporaryDirectory(prefix="channelwise-spark-", dir=parent)
    except OSError as error:
        raise StorageError(
            f"spark.scratch: {parent or 'the temporary folder'} cannot be written ({error.strerror}); "
            "name a folder that this machine and every worker can write"
        ) from error
    with folder as name:
        yield Path(name).resolve()


def _write_parts(connection: duckdb.DuckDBPyConnection, query: str, folder: Path) -> None:
    """Stream a query's rows into the Parquet parts of a new folder; the folder holds one even where there are none."""
    target = str(folder).replace("'", "''")
    try:
        connection.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION lz4_raw, PER_THREAD_OUTPUT)")
    except duckdb.IOException as error:
        raise StorageError(
            f"spark.scratch: {folder} cannot be written ({str(error).splitlines()[0]}); free space or name another "
            "folder under spark.scratch"
        ) from error
