"""Who makes a hot call: its key, the page it comes from, and the address it was sent to."""

from urllib.parse import urlsplit

import orjson

from bandit.model import ApiKey, Configuration, Role
from serving.keys import KnownKeys
from serving.snapshot import Snapshot
from web.errors import ApiError
from web.hot_messages import Request, Response, address
from web.origins import Origins
from web.parameters import BANNER

_SERVE = Role.SERVE
MAY_ASK = (Role.SERVE, Role.SERVER)


class Callers:
    """Looks at keys, origins and headers of the hot calls."""

    def __init__(self, snapshot: Snapshot, *, public_url: str, city_header: str) -> None:
        self._snapshot = snapshot
        self._known_keys = KnownKeys()
        self._origins = Origins(lambda: snapshot.configuration)
        self._public_url = orjson.dumps(public_url.rstrip("/"))[1:-1]
        self._public_origin = "{0.scheme}://{0.netloc}".format(urlsplit(public_url))
        self.city_header = "HTTP_" + city_header.upper().replace("-", "_") if city_header else ""
        """Of a proxy, as WSGI names it; empty when there is none."""

    def key(self, request: Request, in_query: str | None = None) -> ApiKey | None:
        """The key of the request; None when it has none. Raises ApiError for one that is not ours."""
        header = request.environ.get("HTTP_AUTHORIZATION")
        if header is not None:
            text = header[7:] if header[:7].lower() == "bearer " else ""
        elif in_query is not None:
            text = in_query
        else:
            return None
        key = self._known_keys.find(text, self._configuration().keys)
        if key is None:
            raise unauthorised("this key is not one of ours, or was removed")
        if header is None and key.role is not _SERVE:
            raise ApiError(403, "role", "only a serve key may stand in the address; send this one as a header", "key")
        return key

    def asking(self, request: Request, in_query: str | None, allowed: tuple[Role, ...] = MAY_ASK) -> tuple[ApiKey, str]:
        """The key of a call that asks for banners, and its tenant. Raises ApiError when it may not."""
        key = self.key(request, in_query)
        if key is None:
            raise unauthorised("a key is required: Authorization: Bearer bk_..., or key=bk_... for a serve key")
        if key.tenant is None or key.role not in allowed:
            raise ApiError(403, "role", f"this takes a key of role {' or '.join(allowed)}", "key")
        self.check_origin(request, key)
        return key, key.tenant

    def check_origin(self, request: Request, key: ApiKey) -> None:
        """Raises ApiError (403) for a page that may not use a serve key; our own pages may."""
        origin = request.environ.get("HTTP_ORIGIN")
        if origin is not None and key.role is _SERVE and origin != self._own_origin(request):
            self._origins.check(origin, key)

    def allow_origin(self, request: Request, response: Response) -> None:
        """Let pages of known origins read the answer."""
        if "HTTP_ORIGIN" in request.environ:
            self._origins.allow(request.environ["HTTP_ORIGIN"], response)

    def base(self, request: Request) -> bytes:
        """Where this service was reached, as it may stand inside a JSON text."""
        if self._public_url:
            return self._public_url
        environ = request.environ
        try:
            return address(environ["wsgi.url_scheme"], environ["HTTP_HOST"])
        except (KeyError, ValueError):
            return f"{environ['wsgi.url_scheme']}://{environ['SERVER_NAME']}:{environ['SERVER_PORT']}".encode()

    def city(self, request: Request) -> str | None:
        """The city that a proxy names."""
        if not self.city_header:
            return None
        name = request.environ.get(self.city_header)
        if name is None:
            return None
        # WSGI hands header bytes over as latin-1; a name that no parameter could carry counts as none.
        city: str = name.encode("latin-1", "replace").decode("utf-8", "replace").strip()
        return city if BANNER["city"].type.accepts(city) else None

    def _own_origin(self, request: Request) -> str:
        return self._public_origin if self._public_url else self.base(request).decode()

    def _configuration(self) -> Configuration:
        configuration = self._snapshot.configuration
        if configuration is None:
            raise not_ready()
        return configuration


def not_ready() -> ApiError:
    """While nothing was loaded yet."""
    wait = (("Retry-After", "1"),)
    return ApiError(503, "not_ready", "the service is starting and has nothing to serve from yet", headers=wait)


def unauthorised(message: str) -> ApiError:
    """For a call whose key is missing or unknown."""
    return ApiError(401, "key", message, "key", headers=(("WWW-Authenticate", "Bearer"),))
