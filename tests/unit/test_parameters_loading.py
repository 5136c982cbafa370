"""Parameters: merged in order, nulls remove, every fault of every source reported together with its path."""

import pytest

from contract.errors import ParameterError
from contract.loading import load_params, merge, shipped_path
from contract.params import Params


def refused(files=(), assignments=()):
    with pytest.raises(ParameterError) as raised:
        load_params(files, assignments)
    assert raised.value.exit_code == 2
    for fault in raised.value.faults:
        assert f"\n  {fault}" in str(raised.value)
    return raised.value.faults


@pytest.fixture
def written(tmp_path):
    def write(text, name="params.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_the_shipped_parameters_are_whole():
    params = load_params()
    assert shipped_path().name == "params.yaml"
    assert params.target == params.objectives["sell"]
    assert params.outbound == ("email", "sms", "push", "phone", "mail", "social")
    assert len(params.all_kinds) == 16


def test_files_then_assignments_go_over_the_shipped_ones(written):
    first = written("seed: 1\nthreads: 4\nchannels: {email: {unit_cost: 0.5}}", "first.yaml")
    second = written("seed: 2\nfeatures: {windows_days: [1, 2, 3, 4]}", "second.yaml")
    params = load_params([first, second], ["seed=3", "planning.capacities.email=10"])
    assert (params.seed, params.threads) == (3, 4)
    assert params.channels["email"].unit_cost == 0.5
    assert params.channels["email"].consent is True
    assert params.features.windows_days == [1, 2, 3, 4]
    assert params.features.lookback_days == 730
    assert params.planning.capacities == {"email": 10}


def test_null_takes_an_entry_away_and_an_unset_value_stays_null(written):
    params = load_params([written("channels: {mail: null}\nplanning: {budget_eur: null}")])
    assert "mail" not in params.channels
    assert params.planning.budget_eur is None
    assert load_params(assignments=["channels.mail=null"]).channels == params.channels
    assert "email" in params.channels


def test_null_of_what_is_not_there_is_no_channel():
    assert any(fault.startswith("channels.fax") for fault in refused(assignments=["channels.fax=null"]))


def test_a_list_and_an_empty_mapping():
    assert merge({"a": [1, 2]}, {"a": [3]}) == {"a": [3]}
    assert merge({"a": {"b": 1}}, {"a": {}}) == {"a": {"b": 1}}
    assert merge({}, {"a": {"b": 1}}) == {"a": {"b": 1}}
    under = {"a": {"b": 1}}
    merge(under, {"a": {"b": 2}})
    assert under == {"a": {"b": 1}}


def test_an_empty_file_changes_nothing(written):
    assert load_params([written("# nothing\n")]) == load_params()


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("planning.budget_eur=1e3", "planning.budget_eur", 1000.0),
        ("objective=inform", "objective", "inform"),
        ("check.allow_quarantine=[interactions, consents]", "check.allow_quarantine", ["interactions", "consents"]),
        ("tables.customers.path=a=b.csv", "tables.customers.path", "a=b.csv"),
        (" seed =7", "seed", 7),
    ],
)
def test_assignments_are_yaml_values(assignment, path, value):
    found = load_params(assignments=[assignment])
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value


def test_every_fault_of_every_source_is_reported_together(written, tmp_path):
    broken = written("objectve: sell\nchannels: {email: {unit_cost: -1, collour: red}}\nseed: early\n", "broken.yaml")
    unparsed = written("a: [1", "unparsed.yaml")
    faults = refused(
        [broken, unparsed, tmp_path / "none.yaml"],
        [
            "threads",
            "threads=0",
            "planning.holdout_share=2",
            "planning.capacities.fax=1",
            "check.allow_quarantine=[orders]",
        ],
    )
    expected = [
        "planning.capacities.fax: no declared outbound channel",
        "check.allow_quarantine: 'orders' is no table",
        "objectve: unknown key; did you mean objective",
        "channels.email.unit_cost: found -1; Input should be greater than or equal to 0",
        "channels.email.collour: unknown key",
        "seed: found 'early'",
        "unparsed.yaml: is no valid YAML",
        "none.yaml: cannot be read (No such file or directory)",
        "--set threads: expected path.to.key=value",
        "threads: found 0",
        "planning.holdout_share: found 2",
    ]
    for start in expected:
        assert any(start in fault for fault in faults), (start, faults)
    assert len(faults) == len(expected)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("seed: 1\nseed: 2", "the key 'seed' is given twice"),
        ("channels: {email: {unit_cost: 1}, email: {unit_cost: 2}}", "the key 'email' is given twice"),
        ("- a\n- b", "holds a list; expected keys and values"),
        ("just text", "holds a str; expected keys and values"),
        ("seed: !!python/object/apply:os.getcwd []", "is no valid YAML"),
        ("[a]: 1", "is no valid YAML"),
        ("channels: null", "channels: is missing"),
        ("planning: {budget_eur: .inf}", "planning.budget_eur: found inf"),
        ("planning: {budget_eur: .nan}", "planning.budget_eur: found nan"),
        ("features: {windows_days: [30, 7, 90, 365]}", "windows_days must ascend"),
        ("features: {windows_days: [7, 30]}", "features.windows_days"),
        ("planning: {holdout_share: 0.6, explore_share: 0.5}", "must stay below 1"),
        ("planning: {contacts_per_customer: 5}", "planning.contacts_per_customer: found 5"),
        ("objectives: {sell: {worth_eur: 2}}", "exactly one of margin_rate"),
        ("objective: win", "'win' is not under objectives: .sell, inform"),
        ("objectives: {sell: {kinds: [bought]}}", "objectives.sell.kinds: 'bought' is no declared kind"),
        ("channels: {email: {records: [red]}}", "channels.email.records: 'red' is no declared kind"),
        ("kinds: {opened: answer}", "kinds.opened: is shipped and cannot be redeclared"),
        ("kinds: {rented: sport}", "kinds.rented: found 'sport'"),
        ("planning: {capacities: {store: 5}}", "planning.capacities.store: no declared outbound channel"),
        ("planning: {minimums: {fax: 5}}", "planning.minimums.fax: no declared outbound channel"),
        ("check: {allow_quarantine: [orders]}", "check.allow_quarantine: 'orders' is no table"),
        ("kinds: {booked: decision}", "kinds.booked: .*delivery, answer, opt_out or own_step"),
        ("training: {profiles: {quik: {trials: 1}}}", "training.profiles.quik"),
        (
            "training: {profiles: {quick: {learners: [joint, magic]}}}",
            "quick.learners.*found 'magic'.*'joint', 'additive' or 'doubly robust'",
        ),
        ("training: {profiles: {quick: {learners: [additive]}}}", "learners.*needs joint, which remains"),
        ("training: {profiles: {quick: {learners: [joint, joint]}}}", "learners.*names a learner twice"),
        ("traning: {test_days: 1}", "traning: unknown key; did you mean training"),
        ("xyzzy: 1", "xyzzy: unknown key; remove it or see the shipped params.yaml"),
    ],
)
def test_a_fault_names_its_path_and_the_rule(written, text, match):
    with pytest.raises(ParameterError, match=match):
        load_params([written(text)])


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "noise.yaml").write_bytes(b"\xff\xfe\x00a")
    assert "is no valid YAML" in refused([tmp_path / "noise.yaml"])[0]


def test_a_declared_kind_counts_as_its_role():
    params = load_params(assignments=["kinds.booked=own_step", "objectives.sell.kinds=[booked]"])
    assert params.kinds_of(params.all_kinds["visited"])[-1] == "booked"


def test_without_an_outbound_channel_there_is_nothing_to_choose():
    inbound = [f"channels.{name}=null" for name in load_params().outbound]
    assert any("none is outbound" in fault for fault in refused(assignments=inbound))


def test_parameters_cannot_be_changed_once_read():
    params = load_params()
    with pytest.raises(ValueError, match="frozen"):
        params.seed = 1
    assert Params.model_validate(params.model_dump()) == params
