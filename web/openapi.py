"""One description of all calls: what the views declare, the table of the hot calls, and how answers lead on."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from flask_openapi3 import APIBlueprint, Info, OpenAPI, Tag
from pydantic import BaseModel

from web.schemas import ErrorAnswer

Answers = dict[str | int, type[BaseModel] | dict[Any, Any] | None]

TITLE = "Banner optimiser"
VERSION = "1"
BEARER = "key"
SECURITY_SCHEMES: dict[str, Any] = {
    BEARER: {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer bk_...`"}
}
LINKS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "create_tenant": {
        "201": {
            "the tenant": {"operationId": "show_tenant", "parameters": {"tenant": "$response.body#/id"}},
            "its slots": {"operationId": "create_slot", "parameters": {"tenant": "$response.body#/id"}},
            "remove it": {"operationId": "remove_tenant", "parameters": {"tenant": "$response.body#/id"}},
        }
    }
}
