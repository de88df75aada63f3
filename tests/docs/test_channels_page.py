"""The page about channels: its receiver verifies what is sent, its settings load, its tables are those of the code."""

import base64
import re
from pathlib import Path

import pytest
import yaml

from tests.unit.delivery.notices import notice
from usage_etl.config import parse_settings
from usage_etl.config.channels import CHANNEL_KINDS
from usage_etl.delivery.channels.webhook import signature, webhook_body
from usage_etl.delivery.retries import STEPS
from usage_etl.sources.registry import SOURCE_KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "channels.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_receiver_of_the_page_verifies_what_is_sent_and_refuses_the_rest():
    names = {}
    exec(blocks("python")[0], names)
    key, other, body = b"k" * 32, b"o" * 32, webhook_body(notice())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1000",
        "webhook-signature": signature([other, key], "msg_1", 1000, body),
    }
    secret = "whsec_" + base64.b64encode(key).decode()
    assert names["verified"](headers, body, secret, 1200)["data"]["title"] == notice().title
    for changed, text, now, why in (
        (headers, body + b" ", 1200, "not signed"),
        (headers | {"webhook-id": "msg_2"}, body, 1200, "not signed"),
        (headers | {"webhook-signature": "v1,ü"}, body, 1200, "not signed"),
        (headers, body, 1301, "too old"),
    ):
        with pytest.raises(ValueError, match=why):
            names["verified"](changed, text, secret, now)


@pytest.mark.parametrize("block", blocks("yaml"))
def test_settings_of_the_page_load(block):
    base = {"version": "1", "organization": {"id": "n", "name": "N"}, "start_date": "2026-08-01"}
    base["sources"] = [{"kind": "litellm", "name": "gateway", "location": "logs"}]
    assert parse_settings({**base, **yaml.safe_load(block)}, base_path=Path(), kinds=SOURCE_KINDS).channels


def test_page_knows_every_kind_and_every_wait():
    for kind in CHANNEL_KINDS:
        (name,) = kind.model_fields["kind"].annotation.__args__
        assert re.search(rf"\b{name}\b", PAGE), name
    words = {"s": 1, "min": 60, "h": 3600}
    sentence = re.search(r"at most (.*?);", PAGE, flags=re.DOTALL)[1]
    said = [int(number) * words[unit] for number, unit in re.findall(r"(\d+) (s|min|h)\b", sentence)]
    assert said == [step.total_seconds() for step in STEPS]
