"""Where the texts of settings come from: config.ini, then the environment, then files the environment names."""

import configparser
import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

PREFIX = "BANNER_"
CONFIG_VARIABLE = "BANNER_CONFIG"


class Key(NamedTuple):
    """Which setting."""

    section: str
    name: str

    def __str__(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"{PREFIX}{self.section}_{self.name}".upper()


class Found(NamedTuple):
    """What was given for one setting."""

    text: str
    source: str
    """config.ini, or the variable of the environment."""


def read_file(path: Path, known: Collection[Key], problems: list[str]) -> dict[Key, Found]:
    """What this file gives; whatever is wrong with it is added to `problems`."""
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(path.read_text("utf-8"), str(path))
    except OSError as error:
        problems.append(f"{path} cannot be read ({error.strerror}); {CONFIG_VARIABLE} names the file")
        return {}
    except (configparser.Error, UnicodeDecodeError) as error:
        problems.append(f"{path}: {' '.join(str(error).split())}")
        return {}
    return {key: Found(parser[key.section][key.name], path.name) for key in _known(parser, known, path.name, problems)}


def _known(parser: configparser.ConfigParser, known: Collection[Key], where: str, problems: list[str]) -> Iterator[Key]:
    sections = {key.section for key in known}
    for section in parser.sections():
        if section not in sections:
            problems.append(f"[{section}] (in {where}): there is no such section")
            continue
        for key in (Key(section, name) for name in parser[section]):
            if key in known:
                yield key
            else:
                problems.append(_no_such(str(key), where, map(str, known)))


def read_environment(environ: Mapping[str, str], known: Collection[Key], problems: list[str]) -> dict[Key, Found]:
    """What BANNER_<SECTION>_<KEY> and BANNER_<SECTION>_<KEY>_FILE give; what is wrong is added to `problems`."""
    keys = {key.variable: key for key in known}
    found: dict[Key, Found] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        key = keys.get(variable.removesuffix("_FILE"))
        if key is None:
            problems.append(_no_such(variable, "the environment", keys))
        elif key in found:
            problems.append(f"{variable}: {key.variable} is set too; set one of the two")
        elif variable == key.variable:
            found[key] = Found(environ[variable], variable)
        else:
            found[key] = Found(_contents(variable, Path(environ[variable]), problems), variable)
    return found


def _contents(variable: str, path: Path, problems: list[str]) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        problems.append(f"{variable}: {path} cannot be read ({error.strerror})")
    except UnicodeDecodeError:
        problems.append(f"{variable}: {path} is not UTF-8 text")
    return ""


def _no_such(name: str, where: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), 1)
    return f"{name} (in {where}): there is no such setting" + (f"; did you mean {near[0]}?" if near else "")
