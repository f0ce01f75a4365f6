from __future__ import annotations

import pytest

from crproxy.config import Config, ConfigError, Log, OptionError, Options, load
from crproxy.config.changes import changes
from crproxy.policy.log_lines import LogFormat, LogLevel


def read(text: str, level: str | None = None, style: str | None = None) -> Log:
    options = Options(log_level=level, log_format=style)
    return load(text, options, read_file=lambda _: "").log


def test_nothing_is_info_for_people() -> None:
    assert read("") == read("[log]") == Log() == Log(LogLevel.INFO, LogFormat.TEXT)


@pytest.mark.parametrize("level", LogLevel)
@pytest.mark.parametrize("style", LogFormat)
def test_both_may_be_chosen(level: LogLevel, style: LogFormat) -> None:
    expected = Log(level, style)
    assert read(f'[log]\nlevel = "{level.value}"\nformat = "{style.value}"') == expected
    assert read("", level.value, style.value) == expected


def test_an_option_wins_over_the_file() -> None:
    text = '[log]\nlevel = "error"\nformat = "json"'
    assert read(text, "debug") == Log(LogLevel.DEBUG, LogFormat.JSON)
    assert read(text, None, "text") == Log(LogLevel.ERROR, LogFormat.TEXT)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[log]\nlevel = "loud"', "line 2: log.level: 'loud' is none of debug, info, warning, error"),
        ('[log]\nformat = "xml"', "line 2: log.format: 'xml' is none of text, json"),
        ("[log]\nlevel = 3", "line 2: log.level: 3 is not a text: put it in quotes"),
        ('[log]\nlevels = "info"', "line 2: log.levels: there is no such key; did you mean level?"),
    ],
)
def test_a_mistake_is_told(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(text)
    assert str(raised.value) == told


def test_a_mistake_on_the_command_line_is_the_options() -> None:
    with pytest.raises(OptionError) as raised:
        read("", "warn")
    assert str(raised.value) == "--log-level warn: write one of debug, info, warning, error"
    with pytest.raises(OptionError) as raised:
        read("", None, "xml")
    assert str(raised.value) == "--log-format xml: write one of text, json"


def test_a_change_is_told_in_words() -> None:
    assert changes(Config(), Config(log=Log(LogLevel.DEBUG, LogFormat.JSON))) == [
        "[log]: level info -> debug, format text -> json"
    ]
