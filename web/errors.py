"""The one shape of an error: `{"error": {"code", "message", "field"}}`."""

from typing import Any


class ApiError(Exception):
    """An answer that is not a success. The message is safe to show and says what would be right."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = headers

    def body(self) -> dict[str, Any]:
        """What is sent, ready for JSON."""
        return {"error": {"code": self.code, "message": self.message, "field": self.field}}


def printable(name: str) -> str:
    """A name sent by a stranger, safe to repeat."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:100])
