"""Demographics as numbers: what is learned, what is only applied, and what is never looked at."""

import duckdb
import numpy as np
import pandas as pd
import pytest

from contract.errors import ArtefactError, DataError, UsageError
from contract.loading import load_params
from features.demographic import Column, DemographicEncoder, fit_demographic
from features.events import US_PER_DAY
from features.spine import batch_spine
from features.timeline import build_timeline
from tests.properties.raw_histories import START_US, Opened, raw_history


def params_for(*features, **settings):
    names = "[" + ", ".join(features) + "]"
    return load_params(
        assignments=[f"tables.customers.features={names}", *(f"features.{k}={v}" for k, v in settings.items())]
    )


def customers(frame):
    """An intake that shows these customers and nothing else."""
    shown = raw_history(params_for(), 0, 0)
    opened = shown.opened()
    opened.connection.register("arriving", frame)
    opened.connection.execute("CREATE OR REPLACE TABLE customers AS FROM arriving")
    return opened


def encoded(opened, encoder, params, folder, as_of_us=START_US):
    timeline = build_timeline(opened, params, folder)
    spine = batch_spine(np.arange(timeline.n_customers), as_of_us)
    return encoder.encode(encoder.table(opened, timeline), spine)


def people(n, **columns):
    return pd.DataFrame({"customer_id": [f"p{i:03}" for i in range(n)], **columns})


def test_levels_need_enough_customers_and_the_most_frequent_stay(tmp_path):
    params = params_for("region", max_categories=2, min_category_customers=3)
    regions = ["b"] * 4 + ["a"] * 4 + ["c"] * 3 + ["rare"] * 2 + [None]
    opened = customers(people(14, region=pd.Series(regions, dtype="str")))
    encoder = fit_demographic(opened, params)
    assert encoder.columns == (Column("region", "level", ("a", "b")),)
    values = encoded(opened, encoder, params, tmp_path / "t")
    np.testing.assert_array_equal(values[:, 0], [1] * 4 + [0] * 4 + [2] * 3 + [2] * 2 + [np.nan])


def test_applying_learns_nothing(tmp_path):
    params = params_for("region", min_category_customers=1)
    encoder = fit_demographic(customers(people(2, region=["north", "south"])), params)
    later = customers(people(3, region=["south", "east", "east"]))
    np.testing.assert_array_equal(encoded(later, encoder, params, tmp_path / "t")[:, 0], [1, 2, 2])


def test_numbers_flags_and_ages(tmp_path):
    params = params_for("income", "loyal", "birth_year", min_category_customers=1)
    frame = people(4, income=[1.5, None, -2.0, 0.0], loyal=[True, False, True, True])
    frame["birth_year"] = [1990.0, 2030.0, 1800.0, None]
    opened = customers(frame)
    encoder = fit_demographic(opened, params)
    assert encoder.names == ("income", "loyal", "age")
    values = encoded(opened, encoder, params, tmp_path / "t")
    np.testing.assert_array_equal(values[:, 0], np.array([1.5, np.nan, -2, 0]))
    np.testing.assert_array_equal(values[:, 1], [0, 1, 0, 0])
    np.testing.assert_array_equal(values[:, 2], [2024 - 1990, np.nan, np.nan, np.nan])


@pytest.mark.parametrize("as_type", ["TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "DATE"])
def test_times_are_days_before_as_of_and_the_future_is_unknown(as_type, tmp_path):
    params = params_for("signup_at")
    opened = customers(people(3, signup_at=["2024-02-20", "2024-03-01", "2024-03-02"]))
    opened.connection.execute("SET TimeZone = 'UTC'")
    opened.connection.execute(f"ALTER TABLE customers ALTER signup_at TYPE {as_type}")
    encoder = fit_demographic(opened, params)
    assert encoder.names == ("signup_at_days",)
    np.testing.assert_array_equal(encoded(opened, encoder, params, tmp_path / "t")[:, 0], [10, np.nan, np.nan])
    half = encoded(opened, encoder, params, tmp_path / "t", START_US + US_PER_DAY // 2)
    np.testing.assert_array_equal(half[:, 0], [10.5, 0.5, np.nan])


def test_only_named_columns_are_read(tmp_path):
    params = params_for("income", "absent")
    opened = customers(people(2, income=[1.0, 2.0], secret=["x", "y"]))
    encoder = fit_demographic(opened, params)
    assert encoder.names == ("income",)
    assert encoded(opened, encoder, params, tmp_path / "t").shape == (2, 1)


def test_no_columns_give_no_features(tmp_path):
    opened = customers(people(2))
    encoder = fit_demographic(opened, params_for())
    assert encoded(opened, encoder, params_for(), tmp_path / "t").shape == (2, 0)


def test_a_quoted_column_name_is_read(tmp_path):
    name = 'house"hold'
    encoder = DemographicEncoder((Column(name, "number"),))
    opened = customers(people(2, **{name: [3.0, 4.0]}))
    np.testing.assert_array_equal(encoded(opened, encoder, params_for(), tmp_path / "t")[:, 0], [3, 4])


def test_a_missing_column_is_named(tmp_path):
    opened = customers(people(2))
    encoder = DemographicEncoder((Column("income", "number"), Column("region", "level", ("a",))))
    with pytest.raises(DataError, match="columns income, region are missing, and the model was trained with them"):
        encoded(opened, encoder, params_for(), tmp_path / "t")


def test_a_column_of_lists_is_refused():
    opened = customers(people(1, tags=[["a", "b"]]))
    with pytest.raises(UsageError, match=r"column 'tags' holds VARCHAR\[\]"):
        fit_demographic(opened, params_for("tags"))


def test_text_where_training_saw_numbers_is_missing(tmp_path):
    encoder = DemographicEncoder((Column("income", "number"),))
    opened = customers(people(3, income=["12", "much", None]))
    np.testing.assert_array_equal(encoded(opened, encoder, params_for(), tmp_path / "t")[:, 0], [12, np.nan, np.nan])


def test_customers_read_for_fewer_columns_are_refused(tmp_path):
    opened = customers(people(2, income=[1.0, 2.0]))
    timeline = build_timeline(opened, params_for(), tmp_path / "t")
    read = DemographicEncoder().table(opened, timeline)
    with pytest.raises(UsageError, match="customers: lack income"):
        DemographicEncoder((Column("income", "number"),)).encode(read, batch_spine(np.arange(2), START_US))


def test_the_encoder_survives_as_plain_data():
    encoder = DemographicEncoder((Column("region", "level", ("a", "ü")), Column("birth_year", "age")))
    assert DemographicEncoder.from_tree(encoder.to_tree()) == encoder
    with pytest.raises(ArtefactError, match="demographic encoder: is damaged"):
        DemographicEncoder.from_tree([{"source": "region"}])


def test_the_connection_of_an_intake_needs_no_campaigns():
    """Fitting looks at customers only."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE customers AS SELECT 'a' AS customer_id, 1.0 AS income")
    opened = Opened(connection, raw_history(params_for(), 0, 0).as_of)
    assert fit_demographic(opened, params_for("income")).names == ("income",)
