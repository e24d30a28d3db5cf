"""History files: how they are read, summed up and complained of."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from storage.history import History, Layout, read
from storage.history_file import BadHistory
from storage.progress_bar import ProgressBar

HEADER = "banner,city,click\n"
BANNERS = ["b0", "b1", "b2", "007", "NA"]
CITIES = {"mumbai": ("Bombay",), "delhi": ("New Delhi",), "pune": (), "01": (), "null": ()}
IMPRESSIONS = Layout("banner", "city", "click", None)
COUNTS_HEADER = "banner,city,clicks,shown\n"
COUNTS = Layout("banner", "city", "clicks", "shown")

Reading = Callable[..., History]
Sums = dict[tuple[str, str], tuple[int, int]]


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    """`reading(content or path, layout)` reads the history."""

    def run(content: str | bytes | Path, layout: Layout = IMPRESSIONS) -> History:
        path = content if isinstance(content, Path) else tmp_path / "history.csv"
        if not isinstance(content, Path):
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read(path, layout, BANNERS, CITIES, lambda _: None)

    return run


def sums(history: History) -> Sums:
    """(impressions, clicks) by (banner, city)."""
    rows = history.pairs[["banner", "city", "impressions", "clicks"]].itertuples(index=False)
    return {(banner, city): (shown, clicked) for banner, city, shown, clicked in rows}


def impressions(banner: str, city: str, shown: int, clicked: int) -> str:
    return f"{banner},{city},1\n" * clicked + f"{banner},{city},0\n" * (shown - clicked)


GOOD = HEADER + impressions("b0", "mumbai", 40, 2) + impressions("b1", "delhi", 30, 3)
SUMS: Sums = {("b0", "mumbai"): (40, 2), ("b1", "delhi"): (30, 3)}


# -- what is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(GOOD.encode(), id="plain"),
        pytest.param(b"\xef\xbb\xbf" + GOOD.encode(), id="byte order mark"),
        pytest.param(GOOD.replace("\n", "\r\n").encode(), id="Windows lines"),
        pytest.param(GOOD.replace("\n", "\n\n").encode(), id="blank lines"),
        pytest.param(GOOD.replace(",1\n", ",true\n").replace(",0\n", ",False\n").encode(), id="booleans"),
        pytest.param(GOOD.replace(",1\n", ",1.0\n").replace(",0\n", ", 0.\n").encode(), id="fractions"),
        pytest.param(GOOD.replace("b0", '"b0 "').encode(), id="quotes"),
        pytest.param(GOOD.replace("banner,city", "banner , city").encode(), id="blanks in the header"),
        pytest.param(GOOD.rstrip("\n").encode(), id="no end of the last line"),
    ],
)
def test_it_does_not_matter_who_wrote_the_file(reading: Reading, content: bytes) -> None:
    history = reading(content)
    assert sums(history) == SUMS
    assert history.rows == 70


def test_rows_may_be_counts(reading: Reading) -> None:
    rows = "b0,mumbai,1,15\nb1,delhi,3,30\nb0,Bombay,1,25\nb2,pune,0,0\n"
    assert sums(reading(COUNTS_HEADER + rows, COUNTS)) == SUMS | {("b2", "pune"): (0, 0)}


def test_city_names_are_understood_as_the_service_does(reading: Reading) -> None:
    names = ("Bombay", " MUMBAI ", "mumbai", "Mum-bai")
    history = reading(HEADER + "".join(impressions("b0", name, 10, 2) for name in names))
    assert sums(history) == {("b0", "mumbai"): (40, 8)}
    assert not history.unrecognised


def test_cities_the_tenant_does_not_have_are_counted_together_and_kept_by_name(reading: Reading) -> None:
    rows = impressions("b0", "Atlantis", 50, 1) + impressions("b1", "", 70, 1) + impressions("b0", "El Dorado", 60, 1)
    history = reading(HEADER + rows)
    assert sums(history) == {("b0", "_other"): (110, 2), ("b1", "_unknown"): (70, 1)}
    assert history.unrecognised == {"Atlantis": 50, "El Dorado": 60}


def test_banners_and_cities_are_text_whatever_they_look_like(reading: Reading) -> None:
    history = reading(HEADER + impressions("007", "01", 100, 3) + impressions("NA", "null", 200, 2))
    assert sums(history) == {("007", "01"): (100, 3), ("NA", "null"): (200, 2)}


def test_only_filtered_rows_are_read_and_checked(reading: Reading) -> None:
    rows = impressions("b0", "mumbai", 40, 2).replace("\n", ",left,=\n") + "nonsense,,,right,=\nb1,delhi,1,left,no\n"
    layout = Layout("banner", "city", "click", None, (("place", "left"), ("mark", "=")))
    assert sums(reading("banner,city,click,place,mark\n" + rows, layout)) == {("b0", "mumbai"): (40, 2)}


def test_a_file_of_many_chunks_is_read_whole_and_its_progress_told(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(HEADER + impressions("b0", "mumbai", 1_000, 10) * 250, "utf-8")
    told: list[float] = []
    history = read(path, IMPRESSIONS, BANNERS, CITIES, told.append)
    assert sums(history) == {("b0", "mumbai"): (250_000, 2_500)}
    assert told == sorted(told)
    assert told[0] < 0.5
    assert told[-1] == 1


# -- Parquet ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [{}, {"click": "bool"}, {"click": "float"}, {"banner": "category"}])
def test_parquet_gives_what_csv_gives(reading: Reading, tmp_path: Path, kinds: dict[str, str]) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "history.parquet"
    pd.read_csv(io.StringIO(GOOD)).astype(kinds).to_parquet(path, row_group_size=20)
    assert sums(reading(path)) == SUMS


def test_rows_of_parquet_are_counted_from_the_first_record(reading: Reading, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "history.parquet"
    pd.DataFrame({"banner": ["b0", "b1"], "city": ["pune", None], "click": [1, None]}).to_parquet(path)
    with pytest.raises(BadHistory, match=r"^row 2: click is empty"):
        reading(path)


def test_parquet_without_its_reader_says_what_to_install(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadHistory, match=r"run: \.venv/bin/python -m pip install pyarrow"):
        reading(b"PAR1 and more")


def test_a_broken_parquet_file_is_complained_of(reading: Reading) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(BadHistory, match="not a Parquet file"):
        reading(b"PAR1 and nothing that makes sense")


# -- complaints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (HEADER + "b0,pune,2\n", "row 2: click is '2'; 0 or 1 is right (for counts, say --impressions-column)"),
        (HEADER + "b0,pune,1\nb0,pune,\n", "row 3: click is empty; 0 or 1 is right"),
        (HEADER + "b0,pune,NaN\n", "row 2: click is 'NaN'; 0 or 1 is right"),
        (HEADER + "b0,pune\n", "row 2: click is empty; 0 or 1 is right"),
        (HEADER + "\n\nb0,pune,x\n", "row 4: click is 'x'; 0 or 1 is right"),
        (HEADER + "b0,pune,0\n" * 250_000 + "b0,pune,2\n", "row 250002: click is '2'"),
        (HEADER + ",pune,1\n", "row 2: banner is empty; a banner's id is right"),
        (HEADER + "b9,pune,1\n", "row 2: banner is 'b9'; not a banner of the slot"),
        (HEADER + "b9,pune,1\n", "banners of the slot: b0, b1, b2, 007, NA"),
        (HEADER + f"{'b' * 99},pune,1\n", f"row 2: banner is '{'b' * 60}...'; not"),
        (HEADER + "b0\a,pune,1\n", r"row 2: banner is 'b0\x07'; not"),
        (HEADER + "b0,pune,1\nb0,pune,1,5\n", "row 3: 4 fields, but the header has 3"),
        (HEADER + 'b0,pune,1\nb0,"pune,1\n', "row 3: a quotation mark is opened and never closed"),
        (HEADER.encode() + b"b0,\xff,1\n", "line 2: not UTF-8 text"),
        ("banner;city;click\nb0;pune;1\n", "row 1: there is no column 'city'"),
        ("banner,click\nb0,1\n", "columns of the file: 'banner', 'click'"),
        ("banner,city,city,click\nb0,a,b,1\n", "row 1: there are 2 columns 'city'"),
        ("", "the file is empty"),
        ("\n\n", "the file is empty, or its first row is"),
        (HEADER, "there are no rows"),
        (HEADER + "\n\n", "there are no rows"),
    ],
)
def test_what_is_wrong_is_said_with_its_row(reading: Reading, content: str | bytes, complaint: str) -> None:
    with pytest.raises(BadHistory) as said:
        reading(content)
    assert complaint in str(said.value)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("b0,pune,5,4", "row 2: clicks 5 exceeds shown 4"),
        ("b0,pune,0,-4", "row 2: shown is '-4'; a whole number is right"),
        ("b0,pune,-1,4", "row 2: clicks is '-1'; a whole number is right"),
        ("b0,pune,0.5,4", "row 2: clicks is '0.5'; a whole number is right"),
        ("b0,pune,1,inf", "row 2: shown is 'inf'; a whole number is right"),
        ("b0,pune,1,9999999999999", "row 2: shown is '9999999999999'; a whole"),
        ("b0,pune,1,many", "row 2: shown is 'many'; a whole number is right"),
        ("b0,pune,1,", "row 2: shown is empty; a whole number is right"),
        ("b0,pune,0,0", "shown is 0 in every row"),
    ],
)
def test_wrong_counts_are_said_with_their_row(reading: Reading, row: str, complaint: str) -> None:
    with pytest.raises(BadHistory) as said:
        reading(f"{COUNTS_HEADER}{row}\n", COUNTS)
    assert complaint in str(said.value)


def test_filters_that_leave_nothing_are_named(reading: Reading) -> None:
    layout = Layout("banner", "city", "click", None, (("city", "delhi"), ("click", "0")))
    with pytest.raises(BadHistory, match="no row has city = 'delhi' and click = '0'"):
        reading(HEADER + "b0,pune,1\n", layout)


def test_all_complaints_are_gathered_in_the_order_of_rows(reading: Reading) -> None:
    with pytest.raises(BadHistory) as said:
        reading(HEADER + "b0,pune,x\nb8,pune,1\nb0,pune,1\n,pune,1\nb8,pune,y\n")
    assert [line.split(":")[0] for line in str(said.value).splitlines()[:-1]] == ["row 2", "row 3", "row 5", "row 6"]


def test_a_broken_row_does_not_hide_the_complaints_of_earlier_chunks(reading: Reading) -> None:
    with pytest.raises(BadHistory, match=r"^row 3: click is 'x'(.|\n)*row 200003: 4 fields"):
        reading(HEADER + "b0,pune,0\nb0,pune,x\n" + "b0,pune,0\n" * 199_999 + "b0,pune,0,0\n")


def test_the_first_twenty_complaints_are_shown_and_the_others_counted(reading: Reading) -> None:
    with pytest.raises(BadHistory) as said:
        reading(HEADER + "b0,pune,5\n" * 201_234)
    *rows, last = str(said.value).splitlines()
    assert [line.split(":")[0] for line in rows] == [f"row {row}" for row in range(2, 22)]
    assert last == "and 201,214 more"


# -- progress --------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A stream that people watch."""

    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, file: Path, size: int) -> str:
    """What the bar of a file of this many bytes writes while hundredths of it are read."""
    with file.open("wb") as out:
        out.truncate(size)
    with ProgressBar(stream, file) as bar:
        for hundredth in range(1, 101):
            bar.show(hundredth / 100)
    return stream.getvalue()


def test_a_terminal_sees_a_bar_that_fills(tmp_path: Path) -> None:
    written = shown(Terminal(), tmp_path / "file", 20_000_000)
    assert written.startswith("\r[#.......................................]   3% of 20 MB read\r[##")
    assert written.endswith("\r[########################################] 100% of 20 MB read\n")


def test_a_log_gets_a_line_for_every_tenth(tmp_path: Path) -> None:
    lines = shown(io.StringIO(), tmp_path / "file", 20_000_000).splitlines()
    assert lines == [f"{tenth}0% of 20 MB read".rjust(18) for tenth in range(1, 10)] + ["100% of 20 MB read"]


def test_a_small_file_needs_no_bar(tmp_path: Path) -> None:
    assert shown(Terminal(), tmp_path / "file", 5_000_000) == ""
