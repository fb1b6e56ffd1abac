"""JSON and TOML are what they have to be, or one line says what is wrong and where."""

from dataclasses import dataclass
from typing import Annotated

import msgspec
import pytest

from xplain.errors import ArtifactError
from xplain.validated import DEEPEST, decode_json, decode_toml


@dataclass(frozen=True)
class Band:
    low: float
    high: float


@dataclass(frozen=True)
class Settings:
    name: str
    rate: Annotated[int, msgspec.Meta(ge=1)]
    bands: tuple[Band, ...] = ()
    note: dict[str, object] | None = None


def test_what_is_right_is_read_as_its_type(tmp_path):
    json, toml = tmp_path / "a.json", tmp_path / "a.toml"
    json.write_text('\ufeff{"name": "a", "rate": 8000, "bands": [{"low": 1, "high": 2.5}]}')
    toml.write_text('name = "a"\nrate = 8000\nbands = [{low = 1, high = 2.5}]\n')
    expected = Settings("a", 8000, (Band(1.0, 2.5),))
    assert decode_json(json, Settings) == expected == decode_toml(toml, Settings)
    json.write_text('{"0": "no", "1": "yes"}')
    assert decode_json(json, dict[int, str]) == {0: "no", 1: "yes"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read as JSON"),
        ("{", "cannot be read as JSON"),
        ("[]", "expected `object`, got `array`"),
        ('{"name": "a"}', "object missing required field `rate`"),
        ('{"name": "a", "rate": "8000"}', r"at \$\.rate: expected `int`, got `str`"),
        ('{"name": "a", "rate": 0}', r"at \$\.rate: expected `int` >= 1"),
        ('{"name": "a", "rate": 1, "bands": [{"low": null, "high": 1}]}', r"\$\.bands\[0\]\.low"),
        ('{"name": "a", "rate": 1, "note": {"x": NaN}}', "cannot be read as JSON"),
        ('{"name": "a", "rate": 1, "note": {"x": 1e999}}', "out of range"),
        ('{"name": "a", "rate": 1, "note": {"x": Infinity}}', "cannot be read as JSON"),
        ('{"name": "\udcff", "rate": 1}', "cannot be read as JSON"),
        ("[" * 100_000, "levels deep"),
        ('{"name": "a", "rate": 1, "note": {"x":' + "[" * 200 + "]" * 200 + "}}", "levels deep"),
    ],
)
def test_json_that_is_wrong(tmp_path, text, words):
    file = tmp_path / "a.json"
    file.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    with pytest.raises(ArtifactError, match=words) as caught:
        decode_json(file, Settings)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "cannot be read as TOML"),
        ('name = "a"\nrate = nan\n', "finite"),
        ('name = "a"\nrate = 1\nnote = {x = [1, inf]}\n', "finite"),
        ('name = "a"\nrate = true\n', r"at \$\.rate: expected `int`"),
        ("x = " + "[" * 5000 + "]" * 5000, "levels deep|cannot be read as TOML"),
        (f"x = {'[' * (DEEPEST + 1)}{']' * (DEEPEST + 1)}", "levels deep"),
    ],
)
def test_toml_that_is_wrong(tmp_path, text, words):
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(ArtifactError, match=words) as caught:
        decode_toml(file, Settings)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ArtifactError, match=r"cannot be read: .*No such file"):
        decode_json(tmp_path / "nothing.json", Settings)
    with pytest.raises(ArtifactError, match="cannot be read"):
        decode_json(tmp_path, Settings)
    (tmp_path / "large.json").write_text(" " * (2 << 20))
    with pytest.raises(ArtifactError, match="larger than 1 MiB"):
        decode_json(tmp_path / "large.json", Settings, largest=1 << 20)
