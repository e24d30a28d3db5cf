"""One description of all calls: what the views declare, the hot calls' table, and how one answer leads to another."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel

from web.schemas import ErrorAnswer

Answers = dict[Any, type[BaseModel] | dict[Any, Any] | None]

BEARER = "key"
SECURITY_SCHEMES: dict[str, Any] = {
    BEARER: {"type": "http", "scheme": "bearer", "description": "A key: `Authorization: Bearer bk_<id>_<secret>`."}
}
METHODS = ("get", "post", "put", "patch", "delete")
TENANT = {"query.tenant": "$request.query.tenant"}


class FollowUp(NamedTuple):
    """What can be called with something that was just made."""

    operation: str
    status: str
    targets: tuple[str, ...]
    parameters: Mapping[str, str]
    body: Mapping[str, str] | None = None


FOLLOW_UPS = (
    FollowUp("banner", "200", ("go",), {"path.token": "$response.body#/token"}),
    FollowUp("banner", "200", ("view", "click"), {}, {"token": "$response.body#/token"}),
    FollowUp("create_tenant", "201", ("show_tenant", "change_tenant"), {"path.tenant": "$response.body#/id"}),
    FollowUp(
        "create_tenant", "201", ("create_slot", "list_slots", "create_key"), {"query.tenant": "$response.body#/id"}
    ),
    FollowUp("create_key", "201", ("show_key", "remove_key"), {"path.key": "$response.body#/id", **TENANT}),
    FollowUp(
        "create_slot",
        "201",
        ("show_slot", "change_slot", "replace_slot", "remove_slot", "create_banner", "list_banners", "list_seeds"),
        {"path.slot": "$response.body#/id", **TENANT},
    ),
    FollowUp(
        "create_slot",
        "201",
        ("report_by_banner", "report_by_day", "report_lift"),
        {"query.slot": "$response.body#/id", **TENANT},
    ),
    FollowUp(
        "create_banner",
        "201",
        ("show_banner", "change_banner", "replace_banner", "remove_banner", "upload_picture"),
        {"path.slot": "$request.path.slot", "path.banner": "$response.body#/id", **TENANT},
    ),
    FollowUp("start_seeding", "202", ("show_job",), {"path.job": "$response.body#/job", **TENANT}),
)


_ADDED_BY_THE_LIBRARY = {
    "application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/ErrorAnswer"}}}
}


def blueprint(name: str, prefix: str, help_text: str, *, open_to_all: bool = False) -> APIBlueprint:
    """A group of calls. Unless it is open to all, each takes a key and may refuse as every call may."""
    return APIBlueprint(
        name,
        __name__,
        url_prefix=prefix,
        abp_tags=[Tag(name=name, description=help_text)],
        abp_security=[] if open_to_all else [{BEARER: []}],
        abp_responses={} if open_to_all else errors(400, 401, 403, 404, 503),
        operation_id_callback=_name_of_view,
    )


def errors(*statuses: int) -> Answers:
    """These statuses, in the one shape of an error."""
    return dict.fromkeys(statuses, ErrorAnswer)


CHANGE_REFUSED = errors(409, 413, 415)
"""What a call with a JSON body may answer beyond what every call may."""


def content(help_text: str, *media_types: str) -> dict[str, Any]:
    """An answer that is not JSON."""
    return {"description": help_text, "content": {each: {"schema": {"type": "string"}} for each in media_types}}


def describe(app: OpenAPI, hot_paths: Mapping[str, Any]) -> dict[str, Any]:
    """The whole OpenAPI document."""
    document = deepcopy(app.api_doc)
    document["paths"] = {**hot_paths, **document["paths"]}
    operations = {operation["operationId"]: operation for _, _, operation in operations_of(document)}
    for operation in operations.values():
        _complete(operation)
    for follow_up in FOLLOW_UPS:
        _link(operations[follow_up.operation]["responses"][follow_up.status], follow_up)
    return document


def operations_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of every call."""
    for path, path_item in document["paths"].items():
        yield from ((method, path, path_item[method]) for method in METHODS if method in path_item)


def _complete(operation: dict[str, Any]) -> None:
    """What the library has no declaration for: reports are CSV where asked for, an upload needs its body, and a call
    without anything to get wrong has no 400 (the library adds one, in a shape of its own)."""
    if operation["responses"].get("400", {}).get("content") == _ADDED_BY_THE_LIBRARY:
        del operation["responses"]["400"]
    if any(parameter["name"] == "format" for parameter in operation.get("parameters", ())):
        operation["responses"]["200"]["content"]["text/csv"] = {"schema": {"type": "string"}}
    if "requestBody" in operation:
        operation["requestBody"].setdefault("required", True)


def _link(response: dict[str, Any], follow_up: FollowUp) -> None:
    links = response.setdefault("links", {})
    for target in follow_up.targets:
        links[target] = {"operationId": target, "parameters": dict(follow_up.parameters)}
        if follow_up.body is not None:
            links[target]["requestBody"] = dict(follow_up.body)


def _name_of_view(*, name: str, path: str, method: str) -> str:  # noqa: ARG001 - the library passes all three by name
    return name
