"""The hot calls for /openapi.json, from the table their parser reads."""

from typing import Any

from web.parameters import BANNER, EVENT, FEEDBACK, ID, IN_ADDRESS, MAX_EVENTS, MAX_SLOTS, PAGE, Parameter, Table

TAG = "storefront"
_TEXT = {"type": "string"}
_EMPTY = {"type": "string", "maxLength": 0, "format": "empty"}
_OPTIONAL_TEXT = {"type": ["string", "null"]}
_SIZE = {"type": ["integer", "null"], "description": "Pixels."}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}

DECISION: dict[str, dict[str, Any]] = {
    "banner": _TEXT,
    "slot": _TEXT,
    "city": {**_TEXT, "description": "The city it counts for: one of the tenant's, _other or _unknown."},
    "image_url": _TEXT,
    "landing_url": _TEXT,
    "alt": _TEXT,
    "width": _SIZE,
    "height": _SIZE,
    "token": {**_TEXT, "description": "Proof of this impression; send it back with a view or a click."},
    "click_url": {**_TEXT, "description": "Counts the click, then leads to landing_url."},
    "propensity": {
        **_SHARE,
        "description": "The probability with which this banner was chosen; in shadow, of the one that would have been.",
    },
    "policy": {**_TEXT, "enum": ["learned", "holdout", "fixed"]},
    "reason": {**_TEXT, "enum": ["learned", "holdout", "pinned", "default", "shadow"]},
    "recorded": {"type": "boolean", "description": "False when it was shown and will not count."},
    "served_at": {**_TEXT, "format": "date-time", "description": "In the tenant's time zone."},
}
COMPETITOR: dict[str, dict[str, Any]] = {
    "banner": _TEXT,
    "trials": {"type": "number", "description": "Of this city, faded by age; seeds included."},
    "clicks": {"type": "number"},
    "slot_mean": {**_SHARE, "description": "Its expected click rate over all cities: where an unknown city starts."},
    "borrowed_trials": {"type": "number", "description": "How many trials the other cities and banners are worth."},
    "mean": {**_SHARE, "description": "Expected click rate in this city, from both."},
    "low": {**_SHARE, "description": "With high: holds the rate with probability 0.9."},
    "high": _SHARE,
    "is_new": {"type": "boolean", "description": "Of fewer than new_banner_trials trials in the slot."},
    "weight": {"type": "number", "description": "What a click is worth."},
    "probability": {**_SHARE, "description": "Of being chosen, outside the holdout."},
    "why_not": {**_OPTIONAL_TEXT, "description": "Why it does not compete."},
}
EXPLANATION: dict[str, dict[str, Any]] = {
    "slot": _TEXT,
    "city": _TEXT,
    "platform": _TEXT,
    "segment": _OPTIONAL_TEXT,
    "reason": _TEXT,
    "holdout_share": _SHARE,
    "trial": {**_TEXT, "enum": ["served", "viewed"]},
    "at": {**_TEXT, "format": "date-time"},
    "banners": {"type": "array", "items": {"type": "object", "properties": COMPETITOR, "required": list(COMPETITOR)}},
}
_RECORDED = {"recorded": {"type": "boolean"}}
_ERROR = {"type": "object", "description": "Why there is no banner: code, message and field."}
_PAGE_SUMMARY = "Which banners to show in several slots of one page, none of them twice"
_RESULT = {
    "status": {"type": "integer", "description": "What the event alone would have been answered."},
    "recorded": {"type": "boolean"},
    "error": {"type": "object"},
}
_KEY: list[dict[str, list[str]]] = [{"key": []}]


def openapi_paths() -> dict[str, Any]:
    """`paths` of the OpenAPI document: the hot calls."""
    one_event = _body(_fields(FEEDBACK))
    return {
        "/banner": {"get": _banner()},
        "/click": {"post": _feedback("click", "Report a click", one_event)},
        "/view": {"post": _feedback("view", "Report that the banner was on screen", one_event)},
        "/page": {"post": _page()},
        "/events": {"post": _events()},
        "/go/{token}": {"get": _go()},
    }


def _banner() -> dict[str, Any]:
    decision = {"title": "200", **_object(DECISION)}
    explanation = {"title": "200, explain=1", **_object(EXPLANATION)}
    answers = {
        "200": _json("The banner; with explain=1 how it would be chosen.", {"anyOf": [decision, explanation]}),
        "204": {"description": "Nothing may be shown here now, and the slot has no default."},
        **_errors(400, 401, 403, 404, 503),
    }
    return _operation("banner", "Which banner to show", answers, _query(BANNER), security=[*_KEY, {}])


def _feedback(name: str, summary: str, body: dict[str, Any]) -> dict[str, Any]:
    answers = {
        "202": _json("Recorded. A repeated one too: whether it counts is decided behind.", _object(_RECORDED)),
        **_errors(400, 401, 403, 413, 503),
    }
    return {**_operation(name, summary, answers, [], security=[{}, *_KEY]), "requestBody": body}


def _page() -> dict[str, Any]:
    slots = {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_SLOTS,
        "items": dict(ID.schema),
        "description": "The places on the page in their order; one slot may have several.",
    }
    fields = _fields(PAGE)
    body = {**fields, "required": ["slots"], "properties": {"slots": slots, **fields["properties"]}}
    status = {"type": "integer", "description": "What the slot alone would have been answered: 200, 204 or 404."}
    result = {"type": "object", "properties": {"status": status, **DECISION, "error": _ERROR}, "required": ["status"]}
    answers = {
        "200": _json("One result for each slot, in order.", _object({"results": {"type": "array", "items": result}})),
        **_errors(400, 401, 403, 413, 503),
    }
    operation = _operation("page", _PAGE_SUMMARY, answers, _query(IN_ADDRESS), security=[*_KEY, {}])
    return {**operation, "requestBody": _body(body)}


def _events() -> dict[str, Any]:
    events = {"type": "array", "maxItems": MAX_EVENTS, "items": _fields(EVENT)}
    body = {"type": "object", "additionalProperties": False, "required": ["events"], "properties": {"events": events}}
    result = {"type": "object", "properties": _RESULT, "required": ["status"]}
    answers = {
        "200": _json("One result each, in order.", _object({"results": {"type": "array", "items": result}})),
        **_errors(400, 401, 403, 413, 503),
    }
    summary = "Report several views and clicks; takes a server key"
    return {**_operation("events", summary, answers, [], security=_KEY), "requestBody": _body(body)}


def _go() -> dict[str, Any]:
    location = {"Location": {"schema": _TEXT, "description": "The banner's landing URL."}}
    answers = {
        "302": {"description": "Counted where it may count, and on to the landing page.", "headers": location},
        **_errors(400, 410, 503),
    }
    token = {"name": "token", "in": "path", "required": True, "schema": _TEXT}
    return _operation("go", "Count a click and redirect", answers, [token], security=[{}])


def _operation(
    name: str,
    summary: str,
    answers: dict[str, Any],
    parameters: list[dict[str, Any]],
    *,
    security: list[dict[str, list[str]]],
) -> dict[str, Any]:
    return {
        "operationId": name,
        "tags": [TAG],
        "summary": summary,
        "parameters": parameters,
        "responses": answers,
        "security": security,
    }


def _query(table: Table) -> list[dict[str, Any]]:
    return [
        {
            "name": parameter.name,
            "in": "query",
            "required": parameter.required,
            "description": parameter.help,
            "schema": dict(parameter.type.schema),
        }
        for parameter in table.values()
    ]


def _fields(table: Table) -> dict[str, Any]:
    """The JSON schema of an object with these fields."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [parameter.name for parameter in table.required],
        "properties": {
            parameter.name: {**_in_body(parameter), "description": parameter.help} for parameter in table.values()
        },
    }


def _in_body(parameter: Parameter) -> dict[str, Any]:
    """Empty counts as absent, also where an id has at least a letter."""
    schema = dict(parameter.type.schema)
    return schema if parameter.required or "pattern" not in schema else {"anyOf": [schema, _EMPTY]}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    # navigator.sendBeacon sends text/plain, which needs no permission from another origin beforehand.
    return {"required": True, "content": {kind: {"schema": schema} for kind in ("application/json", "text/plain")}}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors(*statuses: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ErrorAnswer"}
    return {str(status): _json("Refused; the error says why.", schema) for status in statuses}
