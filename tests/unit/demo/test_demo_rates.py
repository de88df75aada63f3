"""What the demo charges is genai-prices' word, request by request, less the negotiated discount."""

import datetime as dt
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given
from hypothesis import strategies as st

from usage_etl.demo.models import MODELS, SELF_HOSTED
from usage_etl.demo.rates import DISCOUNTED_MODEL, PICO, RateCard, contract_rates
from usage_etl.demo.scenario import Scenario

SCENARIO = Scenario.of(seed=1, days=95, as_of=dt.date(2026, 11, 19))
LISTED = RateCard(SCENARIO, is_listed=True)
AGREED = RateCard(SCENARIO)
counts = st.integers(0, 400_000)


@given(
    model=st.sampled_from(sorted(MODELS)),
    day=st.dates(SCENARIO.first_day, SCENARIO.as_of),
    tokens=st.tuples(counts, counts, counts, counts, counts),
)
def test_a_request_costs_what_genai_prices_says(model, day, tokens):
    found = MODELS[model]
    if found.operation == "aembedding":
        tokens = (tokens[0], 0, 0, 0, 0)
    if not found.reports_cache_writes:
        tokens = (tokens[0], tokens[1], 0, 0, tokens[4])
    fresh, read, write_5m, write_1h, output = tokens
    input_tokens = fresh + read + write_5m + write_1h
    stated = {"cache_read_tokens": read, "cache_write_tokens": write_5m + write_1h, "cache_write_1h_tokens": write_1h}
    expected = calc_price(
        Usage(input_tokens=input_tokens, output_tokens=output, **{name: count for name, count in stated.items() if count}),
        model_ref=found.logged_name,
        provider_id=found.provider,
        genai_request_timestamp=dt.datetime.combine(day, dt.time(23, 59), tzinfo=dt.UTC),
    ).total_price
    assert LISTED.rates(found, day, "standard", input_tokens).cost(tokens) * PICO == expected


def test_logged_and_billed_names_mean_the_same_model():
    for model in MODELS.values():
        day = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
        ids = {
            calc_price(Usage(input_tokens=1), model_ref=name, provider_id=model.provider, genai_request_timestamp=day).model.id
            for name in (model.logged_name, model.billed_name)
        }
        assert ids == {model.key}


def test_the_price_list_knows_nothing_of_the_self_hosted_model():
    with pytest.raises(LookupError):
        calc_price(Usage(input_tokens=1), model_ref=SELF_HOSTED.logged_name, provider_id="openai")


def test_the_discount_begins_with_the_contract():
    model = MODELS[DISCOUNTED_MODEL]
    before, after = SCENARIO.contract_start - dt.timedelta(days=1), SCENARIO.contract_start
    assert AGREED.rates(model, before, "standard", 10) == LISTED.rates(model, before, "standard", 10)
    listed, agreed = LISTED.rates(model, after, "standard", 10), AGREED.rates(model, after, "standard", 10)
    assert [Decimal(a) / b for a, b in zip(agreed.micro_usd_per_mtok, listed.micro_usd_per_mtok, strict=True)] == [
        Decimal("0.85")
    ] * 5


def test_contract_rates_are_those_that_are_charged():
    model = MODELS[DISCOUNTED_MODEL]
    for rate in contract_rates(SCENARIO, model):
        assert AGREED.rates(model, SCENARIO.as_of, rate.processing, 10).micro_usd_per_mtok == rate.micro_usd_per_mtok


def test_list_prices_change_within_the_window():
    changes = {
        key: len({LISTED.rates(model, day, "standard", 10).micro_usd_per_mtok for day in SCENARIO.days()})
        for key, model in MODELS.items()
    }
    assert {key: count for key, count in changes.items() if count > 1} == {"gpt-5.6-sol": 2, "mistral-large-4": 3}


def test_batch_costs_half_of_the_standard_price():
    for key in ("claude-haiku-4-5", "gpt-5.2", DISCOUNTED_MODEL):
        batch, standard = (
            AGREED.rates(MODELS[key], SCENARIO.as_of, name, 10).micro_usd_per_mtok for name in ("batch", "standard")
        )
        assert [2 * rate for rate in batch] == list(standard)
