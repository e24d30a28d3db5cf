"""A visitor of the dashboard: keeps cookies, fills in forms, reads pages."""

import csv
import io
import re
from html.parser import HTMLParser
from typing import Any

from werkzeug.test import Client, TestResponse

from tests.web.flask_side import Side

HIDDEN = re.compile(r'name="(form_proof|edition)" value="([^"]+)"')


class Visitor:
    """One browser."""

    def __init__(self, side: Side, key: str | None = None) -> None:
        self._client = Client(side.app)
        self._keys = side.keys
        if key is not None:
            assert self.sign_in(key).status_code == 303

    def sign_in(self, key: str, following: str = "") -> TestResponse:
        """Fill in the form with the key of that name, or that text."""
        return self.send("/dashboard/sign-in", key=self._keys.get(key, key), next=following)

    def open(self, path: str, **how: Any) -> TestResponse:
        """GET; redirects are not followed."""
        return self._client.open(path, **how)

    def read(self, path: str) -> str:
        """The text of a page that must be there."""
        answer = self.open(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def send(self, path: str, *, form: str | None = None, **fields: Any) -> TestResponse:
        """Send the form of the page `form` (by default the same path), with its hidden fields."""
        hidden = dict(HIDDEN.findall(self.read(form or path)))
        assert "form_proof" in hidden, path
        return self._client.post(path, data={**hidden, **fields})

    def post(self, path: str, **fields: Any) -> TestResponse:
        """POST without looking at a form first."""
        return self._client.post(path, data=fields)

    def download(self, path: str) -> list[dict[str, str]]:
        """The rows of a CSV."""
        answer = self.open(path)
        assert answer.status_code == 200 and answer.mimetype == "text/csv", answer.text
        assert "attachment" in answer.headers["Content-Disposition"]
        return list(csv.DictReader(io.StringIO(answer.text)))


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def words(html: str) -> str:
    """What a page says, with single spaces."""
    parser = _Words()
    parser.feed(html)
    return " ".join(" ".join(parser.found).split())
