"""Rules of alerts that do not fit are refused by name when the settings are read."""

import datetime as dt

import pytest

from usage_etl.config.alerts import AlertRule, AlertSettings, level_text
from usage_etl.config.load import parse_settings
from usage_etl.errors import ConfigError
from usage_etl.schemas import TABLES_BY_NAME
from usage_etl.schemas.alert_measures import ALERT_MEASURES
from usage_etl.sources.registry import SOURCE_KINDS

MINIMAL = {
    "version": "1",
    "organization": {"id": "acme", "name": "Acme"},
    "start_date": "2026-08-01",
    "sources": [{"kind": "litellm", "name": "gateway", "location": "landing"}],
}
RULE = {"name": "spend", "measure": "effective_cost", "levels": ["50", "80"]}


def problems(alerts, tmp_path):
    with pytest.raises(ConfigError) as caught:
        parse_settings(MINIMAL | {"alerts": alerts}, base_path=tmp_path, kinds=SOURCE_KINDS)
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"measure": "quota_use_ratio"}, "unknown measure 'quota_use_ratio'; did you mean quota_used_ratio"),
        ({"measure": "zzz"}, "unknown measure 'zzz'; known are quota_used_ratio, budget_used_ratio"),
        ({"levels": ["80", "50"]}, "levels must rise strictly; found 80, 50"),
        ({"levels": ["80", "80.0"]}, "levels must rise strictly; found 80, 80"),
        ({"levels": []}, "levels"),
        ({"levels": ["0"]}, "levels must be numbers above 0; found 0"),
        ({"levels": ["-5", "NaN"]}, "levels"),
        ({"levels": ["80", "projected"]}, "projected may stand once, for measures with a limit; effective_cost is watched"),
        ({"measure": "pool_runway_days", "scope": {"kind": "pool"}, "levels": ["7", "30"]}, "levels must fall strictly"),
        ({"scope": {"kind": "teem"}}, "unknown kind of scope 'teem'; did you mean team"),
        ({"measure": "quota_used_ratio", "scope": {"kind": "model"}}, "quota_used_ratio has no scope 'model'"),
        ({"severity": {"90": "critical"}}, "severity names levels that the rule has not: 90"),
        ({"valid_from": "2026-12-01", "valid_to": "2026-12-01"}, "valid_from 2026-12-01 is not before valid_to 2026-12-01"),
        ({"period_kinds": ["day"]}, "limit_measures and period_kinds belong to quota_used_ratio, not to effective_cost"),
        ({"levels": ["80"], "level": "80"}, "unknown key; known here are"),
    ],
)
def test_a_rule_that_does_not_fit_is_named_with_its_place(changes, words, tmp_path):
    found = problems({"rules": [RULE | changes]}, tmp_path)
    assert words in found
    assert "alerts.rules.0" in found


def test_rules_of_one_name_and_silences_of_no_rule_are_refused(tmp_path):
    assert "rules: name(s) used twice: spend" in problems({"rules": [RULE, RULE]}, tmp_path)
    silence = {"rule": "spent", "owner": "Ada", "reason": "migration", "ends_at": "2026-12-01T00:00:00"}
    assert "unknown rule 'spent'; did you mean spend?" in problems({"rules": [RULE], "silences": [silence]}, tmp_path)


@pytest.mark.parametrize(
    "changes", [{"owner": ""}, {"reason": "two\nlines"}, {"ends_at": None}, {"starts_at": "2026-12-02"}, {"scope_kind": "teem"}]
)
def test_a_silence_needs_an_owner_a_reason_and_an_end(changes, tmp_path):
    silence = {"owner": "Ada", "reason": "migration", "ends_at": "2026-12-01T00:00:00+01:00"} | changes
    assert "alerts.silences.0" in problems({"silences": [silence]}, tmp_path)


def test_the_shipped_rule_is_there_unless_switched_off_or_replaced():
    own = RULE | {"name": "monthly-token-quota", "channels": ["pager"]}
    (shipped,) = AlertSettings(channels=("mail",)).all_rules()
    assert (shipped.name, shipped.levels, shipped.channels) == ("monthly-token-quota", (80,), ("mail",))
    assert AlertSettings(token_quota_alert=False).all_rules() == ()
    (replaced,) = AlertSettings.model_validate({"rules": [own]}).all_rules()
    assert replaced.measure == "effective_cost"


def test_the_projection_stands_right_below_the_limit():
    rule = AlertRule.model_validate(RULE | {"measure": "quota_used_ratio", "levels": ["50", "80", "100", "110", "projected"]})
    assert [level_text(level) for level in rule.ladder()] == ["50", "80", "projected", "100", "110"]


def test_a_rule_is_in_force_from_its_first_day_up_to_its_last():
    rule = AlertRule.model_validate(RULE | {"valid_from": "2026-12-01", "valid_to": "2027-01-01", "organizations": ["acme"]})
    days = [dt.date(2026, 11, 30), dt.date(2026, 12, 1), dt.date(2026, 12, 31), dt.date(2027, 1, 1)]
    assert [rule.is_in_force(day, "acme") for day in days] == [False, True, True, False]
    assert not rule.is_in_force(days[1], "globex")


@pytest.mark.parametrize("measure", ALERT_MEASURES.values(), ids=lambda measure: measure.name)
def test_every_measure_reads_a_table_that_exists(measure):
    later = {"mart_quota_status", "mart_pools"}
    assert measure.table in TABLES_BY_NAME.keys() | later
