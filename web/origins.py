"""Web origins: which pages may use a serve key, and which may read an answer."""

from collections.abc import Callable

from bandit.model import ApiKey, Configuration
from web.errors import ApiError
from web.hot_messages import Response


class Origins:
    """The origins of all tenants, collected once for each configuration."""

    def __init__(self, configuration: Callable[[], Configuration | None]) -> None:
        self._configuration = configuration
        self._known: tuple[Configuration | None, frozenset[str]] = (None, frozenset())

    def check(self, origin: str, key: ApiKey) -> None:
        """Raises ApiError (403) unless pages of this origin may use the key."""
        configuration = self._configuration()
        # The tenant may have been removed since its key was looked up.
        tenant = configuration.tenants.get(key.tenant or "") if configuration else None
        if tenant is None or origin not in tenant.origins:
            raise ApiError(403, "origin", "pages of this origin may not use the key; add it to the tenant's origins")

    def allow(self, origin: str, response: Response) -> None:
        """CORS: any tenant's origin may read the answer; what it may do was decided by its key or token."""
        response.headers.append(("Vary", "Origin"))
        if origin in self._all():
            response.headers += [
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
                ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
                ("Access-Control-Max-Age", "600"),
            ]

    def _all(self) -> frozenset[str]:
        configuration = self._configuration()
        collected_from, origins = self._known
        if configuration is not collected_from:
            tenants = configuration.tenants.values() if configuration else ()
            origins = frozenset(origin for tenant in tenants for origin in tenant.origins)
            self._known = configuration, origins
        return origins
