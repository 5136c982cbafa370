"""A bundle is plain files: what is loaded predicts to the bit what was saved, and damage never passes."""

import json

import lightgbm as lgb
import numpy as np
import pytest

from contract.errors import ArtefactError
from contract.loading import load_params
from models.bundle import (
    CONTACT,
    ENGAGEMENT,
    JUDGED,
    MANIFEST,
    RESPONSE,
    Bundle,
    Manifest,
    Preference,
    Window,
    load_bundle,
)
from models.calibration import Platt, Temperature, Unchanged
from models.effect_terms import Term
from models.effects import ContactEffects
from models.evidence import Evidence
from models.forecast_error import ForecastError
from models.intervals import History, Intervals
from models.margin import Margin, fixed_margin

PARAMS = load_params()
CUSTOMERS = 40
NAMES = ("taste", "action", "campaign_category")
MARGIN = Margin(
    kind="shrunk",
    prior=3.0,
    scale=0.3,
    strength=2.0,
    lowest=0.5,
    highest=40.0,
    typical_column="taste",
    count_column="campaign_category",
    terms=(Term(kind="level", columns=("taste",), group="people", bounds=((0.5, 1.5),)),),
    weights=(0.7,),
)


def _text(classes: int, columns: int) -> str:
    random = np.random.default_rng(classes)
    matrix = random.normal(size=(2000, columns)).astype(np.float32)
    label = (matrix.sum(axis=1) > 0).astype(int) if classes == 1 else random.integers(0, classes, 2000)
    options = {"objective": "binary", "verbosity": -1} | (
        {"objective": "multiclass", "num_class": classes} if classes > 1 else {}
    )
    return lgb.train(options, lgb.Dataset(matrix, label, params={"verbosity": -1}), 5).model_to_string()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    outbound = PARAMS.outbound
    deviations = tuple((0.3, 0.2, 0.1) for _ in range(len(outbound) + 1))
    manifest = Manifest(
        objective_name="sell",
        objective=PARAMS.target,
        channels=tuple(PARAMS.channels),
        outbound=outbound,
        names=NAMES,
        categorical=NAMES[1:],
        candidate=NAMES[1:],
        features="{}",
        history=History(columns=(0,), long_from=1.0),
        response_calibration=Platt(slope=0.9, intercept=-0.1),
        intervals=Intervals(tau=deviations, own=deviations, shared=0.0),
        forecast_error=ForecastError(common=0.05, action=0.04, worth=0.03, spread=1.1),
        contact=Preference(channels=outbound[:3], columns=(0, 1, 2), calibration=Temperature(temperature=1.3)),
        engagement=Preference(channels=("web", "store"), columns=(0,), calibration=Unchanged(), fixed=(0.25, 0.75)),
        margin=MARGIN,
        evidence=(Evidence(action="none", verdict="randomised", reason="r", decisions=1, responses=0, overlap=1.0),),
        base_rates=(0.1,) * (len(outbound) + 1),
        window=Window(start_us=0, end_us=1, judged_from_us=1, decisions=1, customers=1, seed=0),
    )
    return Bundle.assembled(manifest, {RESPONSE: _text(1, 3), CONTACT: _text(1, 3), JUDGED: _text(1, 3)})


@pytest.fixture
def rows():
    random = np.random.default_rng(5)
    actions = len(PARAMS.outbound) + 1
    matrix = np.repeat(random.normal(size=(CUSTOMERS, 3)).astype(np.float32), actions, axis=0)
    matrix[:, 1] = np.tile(np.arange(actions), CUSTOMERS)
    matrix[::9, 0] = np.nan
    return matrix


def test_saved_and_loaded_predict_the_same_bits(bundle, rows, tmp_path):
    bundle.save(tmp_path / "b")
    again = load_bundle(tmp_path / "b", threads=2)
    assert again.manifest == bundle.manifest
    for name in (
        "predict_response",
        "judged_response",
        "contact_preference",
        "engagement_preference",
        "expected_margin",
    ):
        assert np.array_equal(getattr(again, name)(rows), getattr(bundle, name)(rows)), name


def test_saving_twice_gives_the_same_bytes_and_content_gives_the_version(bundle, tmp_path):
    for name in ("a", "b"):
        bundle.save(tmp_path / name)
    for file in (RESPONSE, CONTACT, MANIFEST):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    changed = bundle.manifest.model_copy(update={"margin": fixed_margin(4.0)})
    assert Bundle.assembled(changed, bundle.texts).model_version != bundle.model_version
    assert Bundle.assembled(bundle.manifest, bundle.texts).model_version == bundle.model_version


def test_shares_sum_to_one_and_unseen_channels_have_none(bundle, rows):
    contact = bundle.contact_preference(rows)
    assert contact.shape == (CUSTOMERS, len(PARAMS.outbound))
    assert np.allclose(contact.sum(axis=1), 1)
    assert (contact[:, 3:] == 0).all()
    assert bundle.engagement_preference(rows).tolist() == [[0.25, 0.75]] * len(rows)
    assert bundle.contact_preference(rows[:0]).shape == (0, len(PARAMS.outbound))
    assert bundle.predict_response(rows[:0]).shape == (0,)


def test_the_margin_reads_what_actions_share_and_nothing_else(bundle, rows):
    worth = bundle.joint(["taste", "campaign_category"], ["action"]).worth(rows[:, [0, 2]])
    assert np.array_equal(worth, bundle.expected_margin(rows))
    assert len(np.unique(worth)) > 10
    with pytest.raises(ArtefactError, match="margin: reads taste"):
        bundle.joint(["campaign_category"], ["taste", "action"]).worth(rows[:, [2]])


def test_the_preference_shares_out_the_answers_to_every_channel(bundle, rows):
    answer = np.asarray(lgb.Booster(model_str=bundle.texts[CONTACT]).predict(rows)).reshape(CUSTOMERS, -1)[:, 1:4]
    shares = bundle.manifest.contact.calibration.apply(answer / answer.sum(axis=1, keepdims=True))
    assert np.allclose(bundle.contact_preference(rows)[:, :3], shares)
    fixed = Preference(channels=PARAMS.outbound[:2], columns=(), calibration=Unchanged(), fixed=(0.4, 0.6))
    texts = {name: text for name, text in bundle.texts.items() if name != CONTACT}
    without = Bundle.assembled(bundle.manifest.model_copy(update={"contact": fixed}), texts)
    assert without.contact_preference(rows).tolist() == [[0.4, 0.6, *[0.0] * (len(PARAMS.outbound) - 2)]] * CUSTOMERS


def test_answers_by_effects_are_shared_out_and_read_what_actions_share(bundle, rows, tmp_path):
    channels = len(PARAMS.outbound)
    term = Term(kind="value", columns=("taste",), group="taste", scale=2.0)
    effects = ContactEffects(
        terms=(term,), intercept=(*np.linspace(-3, -1, channels),), weights=((*np.linspace(-1, 1, channels),),)
    )
    head = Preference(channels=PARAMS.outbound[:3], columns=(), calibration=Unchanged(), effects=effects)
    texts = {name: text for name, text in bundle.texts.items() if name != CONTACT}
    Bundle.assembled(bundle.manifest.model_copy(update={"contact": head}), texts).save(tmp_path / "b")
    loaded = load_bundle(tmp_path / "b")
    customers = np.nan_to_num(rows[:: channels + 1, 0].astype(np.float64))
    reach = np.linspace(-3, -1, channels) + np.outer(customers / 2, np.linspace(-1, 1, channels))
    answer = 1 - np.exp(-np.exp(reach[:, :3]))
    found = loaded.contact_preference(rows)
    assert np.allclose(found[:, :3], answer / answer.sum(axis=1, keepdims=True), rtol=1e-6)
    assert (found[:, 3:] == 0).all()
    joint = loaded.joint(["taste"], ["action"])
    assert np.array_equal(joint.contact(rows[:: channels + 1, [0]], rows[:, [1]]), found)


def test_rows_of_another_width_are_refused(bundle, rows):
    with pytest.raises(ArtefactError, match=r"reads 3 columns, found a matrix of shape \(280, 2\)"):
        bundle.predict_response(rows[:, :2])


def _edited(tree, key, value):
    tree[key] = value
    return tree


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda f: (f / RESPONSE).write_text((f / RESPONSE).read_text().replace("Tree=1", "Tree=2")),
            "checksum differs",
        ),
        (lambda f: (f / CONTACT).unlink(), "cannot be read"),
        (lambda f: (f / MANIFEST).unlink(), "cannot be read"),
        (lambda f: (f / MANIFEST).write_text((f / MANIFEST).read_text()[:200]), "no valid JSON"),
        (lambda f: (f / MANIFEST).write_text("[]"), "format None"),
        (lambda f: _rewrite(f, "format", 99), "format 99; this version reads format 5"),
        (lambda f: _rewrite(f, "base_rates", [0.5]), "checksum differs from its content"),
        (lambda f: _rewrite(f, "further", 1), "does not hold what a bundle must"),
    ],
)
def test_damage_is_named(bundle, tmp_path, damage, words):
    folder = tmp_path / "b"
    bundle.save(folder)
    damage(folder)
    with pytest.raises(ArtefactError, match=words):
        load_bundle(folder)


def _rewrite(folder, key, value):
    tree = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(_edited(tree, key, value)))


@pytest.mark.parametrize(
    "damaged",
    [
        lambda text: "",
        lambda text: "no model",
        lambda text: text[: len(text) // 3],
        lambda text: text.replace("leaf_value=", "value="),
        lambda text: text.replace("threshold=", "threshold=x"),
    ],
)
def test_a_text_that_is_no_model_is_named_before_it_predicts(bundle, rows, damaged):
    texts = {**bundle.texts, RESPONSE: damaged(bundle.texts[RESPONSE])}
    with pytest.raises(ArtefactError, match="is no text that LightGBM writes"):
        Bundle.assembled(bundle.manifest, texts).predict_response(rows)


def test_a_bundle_that_is_no_folder_is_named(tmp_path):
    with pytest.raises(ArtefactError, match="give the folder of a trained bundle"):
        load_bundle(tmp_path / "nowhere")


def test_engagement_needs_no_file_where_shares_are_fixed(bundle, tmp_path):
    bundle.save(tmp_path / "b")
    assert not (tmp_path / "b" / ENGAGEMENT).exists()
