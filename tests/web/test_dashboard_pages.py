"""What holds for every page of the dashboard: its tables can be downloaded, and none shows what is another tenant's."""

import re
from collections.abc import Iterator

import pytest

from bandit.model import Banner, Role, Seed, Slot, Tenant
from serving.keys import new_key
from tests.web.browsing import Visitor
from tests.web.flask_side import NOW, Side
from tests.web.test_admin_seeds import history
from tests.web.test_dashboard_seeds import end_of, upload
from tests.web.test_dashboard_sessions import pages
from web.csv_answer import _FORMULA_STARTS

FORMULA = "=HYPERLINK(A1)"
OF_SHOP = ("b1", "b2", "b3", "pune", "mumbai", "new-delhi", "shop", "old history", "gold")


@pytest.fixture
def busy(side: Side, monkeypatch: pytest.MonkeyPatch) -> Side:
    """Two tenants that both have a slot `home`; in shop something stands in every table, with a formula where people
    choose the text."""
    for name, value in side.installation.backend.environment.items():
        monkeypatch.setenv(name, value)
    side.store.put_tenant("other", Tenant("other", cities={"oslo": ()}))
    side.store.put_slot("other", Slot("home"))
    side.store.put_banner("other", Banner("home", "x1", "/media/other/x1.png", "https://other.example/"))
    side.store.put_slot("shop", Slot("home", name=FORMULA))
    side.store.put_seeds("shop", "home", "h1", [Seed("h1", "pune", "b1", 10.0, 1.0)])
    key, _ = new_key("shop", Role.READ, NOW, name=FORMULA)
    side.store.put_key(key)
    side.installation.refresh()
    for _ in range(5):
        side.installation.click(side.installation.banner(city="pune").json["token"])
    side.installation.settle()
    admin = Visitor(side, "admin")
    admin.send("/dashboard/keys", role="read", name=FORMULA)
    return side


def paths(side: Side, tenant: str = "") -> Iterator[str]:
    """Every page, and the one that explains a token of shop."""
    token = side.installation.banner(city="pune").json["token"]
    for path, method, _ in pages(side):
        if method == "GET":
            query = f"?tenant={tenant}" if tenant and path != "/dashboard/tenants" else ""
            yield path + query
            if path == "/dashboard/why":
                yield f"{path}?token={token}" + (f"&tenant={tenant}" if tenant else "")


def test_every_table_can_be_downloaded_and_runs_nothing_in_a_spreadsheet(busy: Side) -> None:
    admin = Visitor(busy, "admin")
    job = upload(admin, "dry run", history(), seed_id="h2")
    assert "Done" in end_of(admin, job)
    visitor, seen, formulas = Visitor(busy, "operator"), 0, 0
    for path in [*paths(busy, "shop"), f"{job.headers['Location']}?tenant=shop"]:
        answer = visitor.open(path)
        if "/jobs/000" in path:
            continue
        assert answer.status_code == 200, (path, answer.text)
        names = re.findall(r'class="csv" href="\?[^"]*csv=(\w+)', answer.text)
        assert len(names) == answer.text.count("<table>"), path
        for name in names:
            rows = visitor.download(f"{path}{'&' if '?' in path else '?'}csv={name}")
            cells = [cell for row in rows for cell in row.values()]
            assert rows and not any(cell.startswith(_FORMULA_STARTS) and not is_number(cell) for cell in cells), path
            seen += 1
            formulas += any(FORMULA in cell for cell in cells)
    assert seen >= 10 and formulas >= 3  # a slot's name, a key's, and the log of what was changed


def is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text))


def test_a_second_tenants_key_sees_nothing_of_the_first_on_any_page_or_download(busy: Side) -> None:
    visitor = Visitor(busy, "other")
    rendered = 0
    for path in paths(busy):
        answer = visitor.open(path)
        rendered += answer.status_code == 200
        names = re.findall(r"csv=(\w+)", answer.text)
        texts = [answer.text, *(visitor.open(f"{path}?csv={name}").text for name in names)]
        for text in texts:
            seen = re.sub(r"<textarea.*?</textarea>", "", text, flags=re.DOTALL)
            found = [word for word in OF_SHOP if word not in path and re.search(rf"\b{word}\b", seen)]
            assert not found, (path, found)
        assert visitor.open(path.partition("?")[0] + "?tenant=shop").status_code == 403
    assert rendered >= 8  # both have a slot of that name
