"""The parameters of the hot calls: one table that the parser and the OpenAPI description both read."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from bandit.model import ID_PATTERN
from serving.token import MAX_LENGTH
from web.errors import ApiError, printable

MAX_EVENTS = 500
MAX_SLOTS = 20
MAX_KNOWN_PAIRS = 10_000
_ID = re.compile(ID_PATTERN[1:-1])


@dataclass(frozen=True, slots=True)
class Type:
    """A kind of text: what it must match, and how a message and the description say so."""

    accepts: Callable[[str], object]
    rule: str
    schema: Mapping[str, Any]


def _text(max_length: int) -> Type:
    pattern = f"[^\\x00-\\x1f\\x7f]{{0,{max_length}}}"
    rule = f"text of at most {max_length} characters, none of them a control character"
    return Type(re.compile(pattern).fullmatch, rule, {"type": "string", "maxLength": max_length})


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


ID = Type(
    _ID.fullmatch,
    "text of 1 to 32 letters, digits, dots, dashes or underscores, the first a letter or digit",
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
    recurs: bool = False
    """The same few values come again and again, so that a pair once found right need not be checked again."""

    def refusal(self) -> ApiError:
        """The error for a value that is not right."""
        return ApiError(400, "bad_value", f"{self.name} must be {self.type.rule}", self.name)


class Table(dict[str, Parameter]):
    """Parameters by name."""

    def __init__(self, *parameters: Parameter) -> None:
        super().__init__({parameter.name: parameter for parameter in parameters})
        self.required = tuple(parameter for parameter in parameters if parameter.required)
        self.known_pairs: dict[str, tuple[str, str]] = {}
        """`name=value` as sent -> what it means."""


USER_AGENT = Parameter("user_agent", _text(512), "The visitor's User-Agent; only with a server key.")
CLIENT_IP = Parameter("client_ip", ADDRESS, "The visitor's address; only with a server key.")
TOKEN = Parameter("token", _text(MAX_LENGTH), "The token of the impression.", required=True)

KEY = Parameter("key", _text(128), "A serve key; every other key goes into the Authorization header.")

BANNER = Table(
    Parameter("slot", ID, "The place on the page.", required=True, recurs=True),
    Parameter(
        "city", _text(64), "The visitor's city as people write it; an unknown one counts as _other.", recurs=True
    ),
    Parameter("customer_id", _text(128), "Your id of the visitor; only a keyed hash is kept."),
    Parameter("referrer_id", ID, "Where the visitor came from, as an id of yours.", recurs=True),
    Parameter("platform", ID, "One of the slot's platforms; its first one when absent.", recurs=True),
    Parameter("segment", ID, "One of the tenant's visitor segments.", recurs=True),
    Parameter("banner", ID, "What you show; only a slot in shadow looks at it, and shows it.", recurs=True),
    USER_AGENT,
    CLIENT_IP,
    Parameter("explain", FLAG, "1 with a read key: show how the choice is made, choose and record nothing."),
    KEY,
)
OF_VISITORS = (USER_AGENT.name, CLIENT_IP.name)
FEEDBACK = Table(TOKEN, USER_AGENT, CLIENT_IP)
_OF_ONE_SLOT = ("slot", "banner", "explain", "key")
PAGE = Table(*(parameter for parameter in BANNER.values() if parameter.name not in _OF_ONE_SLOT))
"""Beside `slots`, which is a list."""
IN_ADDRESS = Table(KEY)
EVENT = Table(Parameter("kind", KIND, "What happened.", required=True), *FEEDBACK.values())


def parse_query(query: str, table: Table) -> dict[str, str]:
    """The parameters of a query string; an empty value counts as absent. Raises ApiError (400)."""
    values: dict[str, str] = {}
    known_pairs = table.known_pairs
    for pair in query.split("&") if query else ():
        name, value = known_pairs.get(pair) or _parse_pair(pair, table)
        if name in values:
            raise ApiError(400, "repeated", f"{name} may be given once", name)
        if value:
            values[name] = value
    _check_required(values, table)
    return values


def split_customer(query: str) -> tuple[str, str] | None:
    """A query of BANNER without its customer, and the customer; None where that takes a closer look."""
    before, found, after = query.partition(_CUSTOMER)
    if not found:
        return query, ""
    value, _, rest = after.partition("&")
    if before[-1:] not in _STARTS or not _is_plain(value):
        return None
    return before + rest, value


def split_customer_of_page(body: bytes) -> tuple[bytes, bytes] | None:
    """The same for the body of a page, which is JSON: a text in front of a colon is the name of a field."""
    named = body.count(_CUSTOMER_FIELD)
    if named == 0 and len(body) <= MAX_KNOWN_BODY:
        return body, b""
    found = _customer_in_body(body)
    if found is None or named != 1 or len(body) > MAX_KNOWN_BODY:
        return None
    return body[: found.start(1)] + body[found.end(1) :], found[1]


MAX_KNOWN_BODY = 1024
_CUSTOMER_FIELD = b'"customer_id"'
_customer_in_body = re.compile(rb'"customer_id"\s*:\s*"([A-Za-z0-9._~-]{0,128})"').search
_STARTS = ("", "&")
_CUSTOMER = "customer_id="
_is_plain = re.compile(r"[A-Za-z0-9._~-]{0,128}").fullmatch
"""Values that mean what they are, and are right."""


def _parse_pair(pair: str, table: Table) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    escaped = "%" in pair or "+" in pair
    if escaped:
        name = _bytes_of(name).decode("utf-8", "replace")
    parameter = table.get(name)
    if parameter is None:
        raise _no_such(name, table)
    if escaped:
        value = _unquote(value, name)
    if value and not parameter.type.accepts(value):
        raise parameter.refusal()
    if parameter.recurs:
        if len(table.known_pairs) >= MAX_KNOWN_PAIRS:
            table.known_pairs.clear()
        table.known_pairs[pair] = name, value
    return name, value


def parse_body(value: object, table: Table) -> dict[str, str]:
    """The fields of a JSON object; an empty text counts as absent. Raises ApiError (400)."""
    if not isinstance(value, dict):
        raise ApiError(400, "bad_json", f"the body must be an object with: {', '.join(table)}")
    for name, field in value.items():
        parameter = table.get(name)
        if parameter is None:
            raise _no_such(name, table)
        if field != "" and not (isinstance(field, str) and parameter.type.accepts(field)):
            raise parameter.refusal()
    values = {name: field for name, field in value.items() if field}
    _check_required(values, table)
    return values


def event_list(value: object) -> list[object]:
    """The items of a batch, each still to be parsed. Raises ApiError (400)."""
    if not isinstance(value, dict) or set(value) != {"events"} or not isinstance(value["events"], list):
        raise ApiError(400, "bad_json", 'the body must be {"events": [...]}', "events")
    events: list[object] = value["events"]
    if len(events) > MAX_EVENTS:
        raise ApiError(400, "bad_value", f"at most {MAX_EVENTS} events at once", "events")
    return events


def parse_page(value: object) -> tuple[list[str], dict[str, str]]:
    """The slots of a page in order, perhaps one of them twice, and the other fields. Raises ApiError (400)."""
    if not isinstance(value, dict):
        raise ApiError(400, "bad_json", f"the body must be an object with: slots, {', '.join(PAGE)}")
    slots = value.get("slots")
    if not isinstance(slots, list) or not 1 <= len(slots) <= MAX_SLOTS:
        raise ApiError(400, "bad_value", f"slots must be a list of 1 to {MAX_SLOTS} ids of slots", "slots")
    for slot in slots:
        if not (isinstance(slot, str) and ID.accepts(slot)):
            raise ApiError(400, "bad_value", f"each of slots must be {ID.rule}", "slots")
    return slots, parse_body({name: field for name, field in value.items() if name != "slots"}, PAGE)


def _no_such(name: str, table: Table) -> ApiError:
    message = f"there is no such parameter here; there are: {', '.join(table)}"
    return ApiError(400, "unknown_field", message, printable(name))


def _check_required(values: Mapping[str, str], table: Table) -> None:
    for parameter in table.required:
        if parameter.name not in values:
            raise ApiError(400, "missing", f"{parameter.name} is required: {parameter.help}", parameter.name)


def _unquote(value: str, name: str) -> str:
    try:
        return _bytes_of(value).decode("utf-8")
    except UnicodeDecodeError:
        raise ApiError(400, "bad_value", f"{name} must be percent-encoded UTF-8", name) from None


def _bytes_of(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " "))
