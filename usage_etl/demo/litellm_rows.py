"""LiteLLM spend log rows as JSON text, field for field as the gateway's table exports them.

Rows are assembled from cached pieces instead of json.dumps: a quarter of a million of them in a few seconds.
"""

from __future__ import annotations

import datetime as dt
import json
from functools import cache

from usage_etl.demo.excerpts import ANSWERS, PROMPTS
from usage_etl.demo.models import Model
from usage_etl.demo.organization import ApiKey, Organization
from usage_etl.demo.rates import RateCard
from usage_etl.demo.requests import MICROSECONDS, SECONDS_PER_DAY, Request
from usage_etl.demo.scenario import Scenario

_CLOCK = tuple(f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}" for second in range(SECONDS_PER_DAY))
_UPGRADE_HOUR_US = 10 * 3600 * MICROSECONDS


class RowWriter:
    """Turns requests into rows. One writer per demo: it keeps pieces that many rows share."""

    def __init__(self, scenario: Scenario, organization: Organization) -> None:
        self._listed = RateCard(scenario, is_listed=True)
        self._teams = {team.team_id: team.name for team in organization.teams}
        self._upgraded_us = _instant_us(scenario.gateway_upgrade) + _UPGRADE_HOUR_US

    def row(self, request: Request) -> str:
        """One row without its line end."""
        ended_us = request.ended_us
        ended = _timestamp(ended_us)
        first_token = _timestamp(request.started_us + request.ttft_ms * 1000) if request.ttft_ms else ended
        tokens = request.tokens
        model = request.model
        metadata, tags = self._metadata(request), _tags(request)
        if ended_us < self._upgraded_us:  # before the upgrade, JSON inside JSON
            metadata, tags = _quoted(metadata), _quoted(tags)
        team_id = request.key.team_id
        return (
            f'{{"request_id":"{request.request_id}","litellm_call_id":"{request.call_id}","call_type":"{model.operation}",'
            f'"api_key":"{request.key.key_id}","spend":{self._spend(request)!r},'
            f'"total_tokens":{sum(tokens)},"prompt_tokens":{request.input_tokens},"completion_tokens":{tokens[4]},'
            f'"startTime":"{_timestamp(request.started_us)}","endTime":"{ended}",'
            f'"request_duration_ms":{request.duration_ms},"completionStartTime":"{first_token}",'
            f"{_model_fields(model, _operation_path(model))},"
            f'"user":"{request.user_id}","metadata":{metadata},"cache_hit":"{"True" if request.is_cache_hit else "None"}",'
            f'"cache_key":"{request.call_id.replace("-", "") if request.is_cache_hit else "Cache OFF"}","request_tags":{tags},'
            f'"team_id":"{team_id}","organization_id":"{"org-northwind" if team_id else ""}","end_user":"",'
            f'"requester_ip_address":"{_address(request)}",{_excerpt(request.excerpt, has_answer=request.failure is None)},'
            f'"session_id":"{request.session_id}","status":"{"failure" if request.failure else "success"}",'
            f'"mcp_namespaced_tool_name":null,"agent_id":{_agent(request)},"billing_agent_id":null,"proxy_server_request":{{}},'
            f'"created_at":"{ended}","updated_at":"{_timestamp(request.updated_us) if request.updated_us else ended}"}}'
        )

    def _spend(self, request: Request) -> float:
        """The gateway's estimate: list prices in floating point, as LiteLLM computes it."""
        if not request.is_priced:
            return 0.0
        rates = self._listed.rates(request.model, request.day, request.processing, request.input_tokens).micro_usd_per_mtok
        return sum(count * (rate * 1e-12) for count, rate in zip(request.tokens, rates, strict=True) if count)

    def _metadata(self, request: Request) -> str:
        return (
            f'{{{_key_fields(request.key, self._teams.get(request.key.team_id, ""), request.user_id)},"status":'
            f'"{"failure" if request.failure else "success"}","usage_object":{_usage_object(request)},'
            f'"spend_logs_metadata":{_work_item(request)},"error_information":{_error(request)},'
            f'"batch_models":{_batch_models(request)},{_REST_OF_METADATA}}}'
        )


_REST_OF_METADATA = (
    '"applied_guardrails":[],"guardrail_information":null,"mcp_tool_call_metadata":null,"vector_store_request_metadata":null,'
    '"proxy_server_request":null,"attempted_retries":0,"attempted_fallbacks":0,"max_retries":2,"additional_usage_values":{}'
)


def _instant_us(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days * SECONDS_PER_DAY * MICROSECONDS


@cache
def _date_text(day_number: int) -> str:
    return (dt.date(1970, 1, 1) + dt.timedelta(days=day_number)).isoformat()


def _timestamp(microseconds: int) -> str:
    """``2026-11-19 14:03:22.123456``: UTC without a zone, as the gateway's database writes it."""
    seconds, fraction = divmod(microseconds, MICROSECONDS)
    day_number, second = divmod(seconds, SECONDS_PER_DAY)
    return f"{_date_text(day_number)} {_CLOCK[second]}.{fraction:06d}"


def _json(found: object) -> str:
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@cache
def _operation_path(model: Model) -> str:
    return {"openai": "chat/completions", "self-hosted": "/chat/completions"}.get(model.provider, "")


@cache
def _model_fields(model: Model, path: str) -> str:
    base = model.api_base + ("embeddings" if model.operation == "aembedding" else path)
    return (
        f'"model":"{model.logged_name}","model_id":"{model.deployment_id}","model_group":"{model.key}",'
        f'"custom_llm_provider":"{model.host}","api_base":"{base}"'
    )


@cache
def _key_fields(key: ApiKey, team_name: str, user_id: str) -> str:
    alias = json.dumps(key.alias if key.is_listed else None)
    team, organization = json.dumps(key.team_id or None), json.dumps("org-northwind" if key.team_id else None)
    return (
        f'"user_api_key":"{key.key_id}","user_api_key_alias":{alias},"user_api_key_team_id":{team},'
        f'"user_api_key_team_alias":{json.dumps(team_name or None)},"user_api_key_org_id":{organization},'
        f'"user_api_key_user_id":{json.dumps(user_id or None)},"user_api_key_project_id":null,"user_api_key_project_alias":null,'
        f'"user_agent":"{_client(key)}"'
    )


def _client(key: ApiKey) -> str:
    if key.alias.endswith("-code-agent"):
        return "claude-cli/2.4.1 (external, cli)"
    return "Open-WebUI/0.9.3" if key.alias.endswith("-interactive") else "OpenAI/Python 2.54.0"


def _usage_object(request: Request) -> str:
    """Usage as the provider returned it, cache details in the provider's own words."""
    if request.failure and not request.is_billed:
        return "null"
    if not request.has_usage:
        return "null"
    fresh, read, write_5m, write_1h, output = request.tokens
    total = fresh + read + write_5m + write_1h + output
    head = f'{{"completion_tokens":{output},"prompt_tokens":{total - output},"total_tokens":{total}'
    if request.model.provider == "anthropic":
        written = write_5m + write_1h
        return (
            f'{head},"completion_tokens_details":{_reasoning(request)},'
            f'"prompt_tokens_details":{{"audio_tokens":null,"cached_tokens":{read},"text_tokens":{fresh},"image_tokens":null,'
            f'"cache_creation_tokens":{written},"cache_creation_token_details":'
            f'{{"ephemeral_5m_input_tokens":{write_5m},"ephemeral_1h_input_tokens":{write_1h}}}}},'
            f'"cache_creation_input_tokens":{written},"cache_read_input_tokens":{read},'
            f'"inference_geo":"global","service_tier":"{request.processing}","server_tool_use":null}}'
        )
    if request.model.operation == "aembedding":
        return f'{head},"completion_tokens_details":null,"prompt_tokens_details":null}}'
    if request.model.provider == "openai":
        tier = "default" if request.processing == "standard" else request.processing
        return (
            f'{head},"completion_tokens_details":{{"accepted_prediction_tokens":0,"audio_tokens":0,'
            f'"reasoning_tokens":{request.reasoning_tokens},"rejected_prediction_tokens":0}},'
            f'"prompt_tokens_details":{{"audio_tokens":0,"cached_tokens":{read}}},"service_tier":"{tier}"}}'
        )
    return (
        f'{head},"completion_tokens_details":{_reasoning(request)},"prompt_tokens_details":'
        f'{{"audio_tokens":null,"cached_tokens":{read or "null"},"text_tokens":{fresh},"image_tokens":null}}}}'
    )


def _reasoning(request: Request) -> str:
    return f'{{"reasoning_tokens":{request.reasoning_tokens},"text_tokens":{request.tokens[4] - request.reasoning_tokens}}}'


def _tags(request: Request) -> str:
    tags = [f'"feature:{request.feature.feature_id}"'] if request.feature else []
    if request.environment:
        tags.append(f'"env:{request.environment}"')
    if request.investigation:
        tags.append(f'"investigation:{request.investigation}"')
    if request.key.alias.startswith("svc-"):
        tags.append('"User-Agent: OpenAI"')
    return f"[{','.join(tags)}]"


def _work_item(request: Request) -> str:
    return f'{{"investigation":"{request.investigation}"}}' if request.investigation else "null"


def _error(request: Request) -> str:
    failure = request.failure
    if failure is None:
        return "null"
    return (
        f'{{"error_code":"{failure.code}","error_class":"{failure.error_class}","llm_provider":"{request.model.host}",'
        f'"traceback":"","error_message":"litellm.{failure.error_class}: {failure.message}"}}'
    )


def _batch_models(request: Request) -> str:
    return f'["{request.model.logged_name}"]' if request.processing == "batch" else "null"


def _agent(request: Request) -> str:
    return '"code-agent"' if request.feature and request.feature.feature_id == "code-agent" else "null"


def _address(request: Request) -> str:
    return f"10.{20 + request.excerpt % 4}.{len(request.user_id) * 7 % 250}.{10 + request.excerpt * 9 % 240}"


@cache
def _excerpt(number: int, *, has_answer: bool) -> str:
    """Shortened prompt and answer, as a gateway with prompt logging keeps them."""
    prompt, answer = PROMPTS[number % len(PROMPTS)], ANSWERS[number % len(ANSWERS)]
    messages = [{"role": "user", "content": prompt}]
    response = {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": answer}}]} if has_answer else {}
    return f'"messages":{_json(messages)},"response":{_json(response)}'
