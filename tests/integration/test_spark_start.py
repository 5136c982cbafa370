"""What Spark is started with, and what is said where it cannot start."""

import os
import subprocess
import sys

import pytest

from channelwise.jobs.features import engine_called
from contract.errors import ChannelwiseError, ParameterError, StorageError, UsageError
from contract.loading import load_params
from features.spark_engine import spark_engine, spark_settings, spoken
from tests.adapters.command_line import ROOT
from tests.adapters.small_shop import shop_tables, write_shop


def set_to(*assignments):
    return load_params(assignments=[f"spark.{each}" for each in assignments]).spark


def test_it_starts_quietly_on_the_loopback_and_in_utc(tmp_path):
    found = spark_settings(set_to("settings={spark.ui.enabled: true, spark.executor.cores: 2}"), "python", tmp_path)
    assert found["spark.driver.bindAddress"] == found["spark.driver.host"] == "127.0.0.1"
    assert found["spark.sql.session.timeZone"] == "UTC"
    assert found["spark.pyspark.python"] == "python"
    assert (found["spark.ui.enabled"], found["spark.executor.cores"]) == ("true", "2")


@pytest.mark.parametrize(
    ("assignment", "match"),
    [
        ("settings={cores: 2}", "cores: a setting of Spark begins with 'spark.'"),
        ("settings={spark.master: yarn}", "give it as spark.master"),
        ("settings={spark.sql.session.timeZone: CET}", "times are UTC; remove it"),
        ("master=''", "spark.master"),
        ("master=nonsense", "spark.master"),
        ("settings={spark.jars: [a]}", "spark.settings"),
    ],
)
def test_wrong_settings_are_refused_by_name(assignment, match):
    with pytest.raises(ParameterError, match=match):
        set_to(assignment)


@pytest.mark.parametrize(
    "master", ["local", "local[*]", "local[2,3]", "yarn", "spark://host:7077", "k8s://https://host"]
)
def test_every_kind_of_master_may_be_named(master):
    assert set_to(f"master='{master}'").master == master


def test_an_unknown_engine_is_refused():
    with pytest.raises(UsageError, match="--engine: found 'pandas'; expected one of duckdb, spark"):
        engine_called("pandas", load_params()).__enter__()


def test_without_pyspark_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(UsageError, match=r"PySpark is not installed; pip install 'channelwise\[spark\]'"):
        spark_engine(set_to(), sys.executable).__enter__()


def test_a_scratch_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"spark\.scratch: .*nowhere cannot be written"):
        spark_engine(set_to(f"scratch={tmp_path}/nowhere"), sys.executable).__enter__()


def test_without_java_the_remedy_is_named_and_nothing_is_written(tmp_path):
    pytest.importorskip("pyspark", reason="needs PySpark, the extra spark")
    data = write_shop(tmp_path / "shop", shop_tables())
    words = ["features", "--data", data, "--out", tmp_path / "out", "--engine", "spark"]
    environment = {**os.environ, "JAVA_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "channelwise", *map(str, words)]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 2, ran.stderr
    assert "Spark's Java process did not start; Spark needs Java 17" in " ".join(ran.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "kind", "match"),
    [
        ("x\nCaused by: java.io.IOException: No space left on device", StorageError, "free disk under spark.scratch"),
        ("java.lang.OutOfMemoryError: Java heap space", StorageError, r"raise spark\.driver\.memory"),
        ("java.lang.IllegalStateException: odd", ChannelwiseError, "spark: sorting failed: java.lang.IllegalState"),
    ],
)
def test_a_failure_of_spark_is_told_in_one_sentence(text, kind, match):
    errors = pytest.importorskip("pyspark.errors", reason="needs PySpark, the extra spark")
    with pytest.raises(kind, match=match), spoken("sorting"):
        raise errors.PySparkException(text)
