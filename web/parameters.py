"""The parameters of the hot calls: one table that the parser and the OpenAPI description both read."""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from bandit.model import ID_PATTERN
from serving.token import MAX_LENGTH
from web.errors import ApiError

MAX_EVENTS = 500
_ID = re.compile(ID_PATTERN[1:-1])
_TEXT = re.compile(r"[^\x00-\x1f\x7f]*")


@dataclass(frozen=True, slots=True)
class Type:
    """A kind of text: what it must match, and how a message and the description say so."""

    accepts: Callable[[str], object]
    rule: str
    schema: Mapping[str, Any]


def _text(max_length: int) -> Type:
    def accepts(value: str) -> bool:
        return len(value) <= max_length and _TEXT.fullmatch(value) is not None

    rule = f"at most {max_length} characters, none of them a control character"
    return Type(accepts, rule, {"type": "string", "maxLength": max_length})


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


ID = Type(
    _ID.fullmatch,
    "1 to 32 letters, digits, dots, dashes or underscores, the first a letter or digit",
    {"type": "string", "pattern": ID_PATTERN},
)
FLAG = Type(("0", "1").__contains__, "0 or 1", {"type": "string", "enum": ["0", "1"]})
ADDRESS = Type(_is_address, "an IPv4 or IPv6 address", {"type": "string", "maxLength": 45})
KIND = Type(("click", "view").__contains__, '"click" or "view"', {"type": "string", "enum": ["click", "view"]})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query or field of a body."""

    name: str
    type: Type
    help: str
    required: bool = False

    def check(self, value: object) -> str:
        """The value, if it is right. Raises ApiError (400) naming the parameter."""
        if not isinstance(value, str) or not self.type.accepts(value):
            raise ApiError(400, "bad_value", f"{self.name} must be {self.type.rule}", self.name)
        return value


Table = Mapping[str, Parameter]


def _table(*parameters: Parameter) -> Table:
    return {parameter.name: parameter for parameter in parameters}


USER_AGENT = Parameter("user_agent", _text(512), "The visitor's User-Agent; only with a server key.")
CLIENT_IP = Parameter("client_ip", ADDRESS, "The visitor's address; only with a server key.")
TOKEN = Parameter("token", _text(MAX_LENGTH), "The token of the impression.", required=True)

BANNER = _table(
    Parameter("slot", ID, "The place on the page.", required=True),
    Parameter("city", _text(64), "The visitor's city, as people write it. An unknown one counts as _other."),
    Parameter("customer_id", _text(128), "Your id of the visitor; only a keyed hash is kept."),
    Parameter("referrer_id", ID, "Where the visitor came from, as an id of yours."),
    Parameter("platform", ID, "One of the slot's platforms; its first one when absent."),
    Parameter("segment", ID, "One of the tenant's visitor segments."),
    USER_AGENT,
    CLIENT_IP,
    Parameter("explain", FLAG, "1 with a read key: show how the choice is made, choose and record nothing."),
    Parameter("key", _text(128), "A serve key; every other key goes into the Authorization header."),
)
FEEDBACK = _table(TOKEN, USER_AGENT, CLIENT_IP)
EVENT = _table(Parameter("kind", KIND, "What happened.", required=True), *FEEDBACK.values())


def parse_query(query: str, table: Table) -> dict[str, str]:
    """The parameters of a query string; an empty value counts as absent. Raises ApiError (400)."""
    values: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if "%" in pair or "+" in pair:
            name, value = _unquote(name), _unquote(value)
        if name in values:
            raise ApiError(400, "repeated", f"{_shown(name)} may be given once", _shown(name))
        if value:
            values[name] = _parameter(name, table).check(value)
        elif name:
            _parameter(name, table)
    _check_required(values, table)
    return values


def parse_body(value: object, table: Table) -> dict[str, str]:
    """The fields of a JSON object. Raises ApiError (400)."""
    if not isinstance(value, dict):
        raise ApiError(400, "bad_json", f"the body must be an object with: {', '.join(table)}")
    fields = {name: _parameter(name, table).check(field) for name, field in value.items()}
    _check_required(fields, table)
    return fields


def _parameter(name: str, table: Table) -> Parameter:
    parameter = table.get(name)
    if parameter is None:
        message = f"there is no such parameter here; there are: {', '.join(table)}"
        raise ApiError(400, "unknown_field", message, _shown(name))
    return parameter


def _check_required(values: Mapping[str, str], table: Table) -> None:
    for parameter in table.values():
        if parameter.required and parameter.name not in values:
            raise ApiError(400, "missing", f"{parameter.name} is required: {parameter.help}", parameter.name)


def _unquote(text: str) -> str:
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        raise ApiError(400, "bad_value", "the query must be percent-encoded UTF-8") from None


def _shown(name: str) -> str:
    """A name sent by a stranger, safe to repeat to them."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:64])


def query_description(table: Table) -> list[dict[str, Any]]:
    """OpenAPI `parameters`."""
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


def body_description(table: Table) -> dict[str, Any]:
    """The JSON schema of an object with these fields."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [parameter.name for parameter in table.values() if parameter.required],
        "properties": {
            parameter.name: {**parameter.type.schema, "description": parameter.help} for parameter in table.values()
        },
    }


def events_description() -> dict[str, Any]:
    """The JSON schema of a batch."""
    items: Sequence[str] = ("events",)
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(items),
        "properties": {"events": {"type": "array", "maxItems": MAX_EVENTS, "items": body_description(EVENT)}},
    }
