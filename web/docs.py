"""The documentation page: how to show a banner, then every call, from the same document that machines read."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from flask import current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from bandit.model import ID_PATTERN
from web.admin import Json
from web.auth import requires
from web.hot_description import TAG as STOREFRONT
from web.openapi import blueprint, content, operations_of

docs = blueprint("docs", "", "This description.", open_to_all=True)


@docs.get("/", responses={302: {"description": "To the dashboard."}})
@requires("public")
def show_start() -> Response:
    """Where somebody who types only the address wants to go."""
    return redirect(url_for("dashboard.overview"))


@docs.get("/openapi.json", responses={200: content("OpenAPI 3.1.", "application/json")})
@requires("public")
def show_openapi() -> Json:
    """All calls, for machines."""
    return description()


@docs.get("/docs", responses={200: content("A page.", "text/html")})
@requires("public")
def show_docs() -> str:
    """All calls, for people."""
    document = description()
    return render_template(
        "docs.html", info=document["info"], groups=groups(document), base=request.host_url.rstrip("/")
    )


def description() -> Json:
    """The OpenAPI document of the application that answers."""
    found = current_app.description  # type: ignore[attr-defined]
    assert isinstance(found, dict)
    return found


def groups(document: Mapping[str, Any]) -> list[Json]:
    """The calls by tag, in the document's order, as the template shows them."""
    helps = {tag["name"]: tag.get("description", "") for tag in document.get("tags", ())}
    by_tag: defaultdict[str, list[Json]] = defaultdict(list)
    for method, path, operation in operations_of(document):
        by_tag[operation["tags"][0]].append(_call(method, path, operation, document["components"]["schemas"]))
    return [{"name": tag, "help": helps.get(tag, ""), "calls": calls} for tag, calls in by_tag.items()]


def _call(method: str, path: str, operation: Json, schemas: Json) -> Json:
    return {
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "help": operation.get("description", "").replace("<br/>", " "),
        "inputs": [*_parameters(operation, schemas), *_fields(operation, schemas)],
        "outputs": list(_outputs(operation, schemas)),
        "answers": [_answer(status, each) for status, each in sorted(operation["responses"].items())],
    }


def _answer(status: str, answer: Json) -> tuple[str, str]:
    """Refusals explain themselves when they happen; what else may come back is said here."""
    return status, "" if status >= "400" else answer["description"]


def _parameters(operation: Json, schemas: Json) -> Iterator[Json]:
    for each in operation.get("parameters", ()):
        text = each.get("description") or each["schema"].get("description", "")
        schema = _not_null(each["schema"])
        yield _input(each["name"], each["in"], each.get("required", False), schema, text, schemas)


def _fields(operation: Json, schemas: Json) -> Iterator[Json]:
    described: list[Json] = []
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        schema = _resolved(body["schema"], schemas)
        if "properties" not in schema:
            yield _input(media_type, "body", True, schema, "", schemas)
        elif schema not in described:  # the same body may be sent as several media types
            described.append(schema)
            yield from _properties(schema, "body", schemas)


def _outputs(operation: Json, schemas: Json) -> Iterator[Json]:
    """The fields of what a storefront is answered when its call works."""
    if operation["tags"] != [STOREFRONT]:
        return
    for status, answer in sorted(operation["responses"].items()):
        if status.startswith("2") and "content" in answer:
            schema = answer["content"]["application/json"]["schema"]
            for each in schema.get("anyOf", (schema,)):
                yield from _properties(each, each.get("title", status), schemas)


def _properties(schema: Json, where: str, schemas: Json, prefix: str = "") -> Iterator[Json]:
    """The fields of an object, and below each list those of its items."""
    for name, field in schema["properties"].items():
        required = name in schema.get("required", ())
        yield _input(prefix + name, where, required, field, field.get("description", ""), schemas)
        items = _resolved(field.get("items", {}), schemas)
        if "properties" in items:
            yield from _properties(items, where, schemas, f"{prefix}{name}[].")


def _not_null(schema: Json) -> Json:
    """A parameter is there or not; nobody can send null as one."""
    kinds = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return {**schema, "anyOf": kinds} if kinds else schema


def _input(name: str, where: str, required: bool, schema: Json, text: str, schemas: Json) -> Json:
    default = schema.get("default")
    return {
        "name": name,
        "where": where,
        "required": required,
        "type": _type(schema, schemas),
        "default": None if default in (None, "", [], {}) else default,
        "help": text,
    }


def _type(schema: Json, schemas: Json) -> str:
    """A schema in a few words."""
    schema = _resolved(schema, schemas)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each, schemas) for each in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("pattern") == ID_PATTERN:
        return "id"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), schemas)}"
    kind = schema.get("type", "object")
    named = " or ".join(kind) if isinstance(kind, list) else kind
    return str(schema.get("format") or schema.get("const") or named)


def _resolved(schema: Json, schemas: Json) -> Json:
    reference = schema.get("$ref")
    found = schemas[reference.rpartition("/")[2]] if reference else schema
    assert isinstance(found, dict)
    return found
