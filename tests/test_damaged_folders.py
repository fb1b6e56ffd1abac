"""A model folder that was changed anywhere loads, or is refused in one line; nothing else."""

import json
import random
import shutil
import warnings
from pathlib import Path

import pytest
import torch

import xplain
from xplain.errors import XplainError

pytest.importorskip("xplain_nmf")
weights = Path(pytest.importorskip("xplain_zoo.digits").WEIGHTS).parent

UNREAD = ("report.json", "training.json")
"""Records for people, which loading does not read."""
VALUES = (None, True, -1, 0, 3, 2**40, 2**70, 1.5, 1e300, "", "a", "../..", [], {}, [[]], ["a"])


def dictionary(folder: Path):
    from xplain_nmf.dictionary.dictionary import Dictionary
    from xplain_nmf.spectrum import Spectrum

    Dictionary(torch.rand(513, 3), Spectrum(), ("a", "b", "b")).save(folder)
    return Dictionary.load


def prototypes(folder: Path):
    from xplain_nmf.prototypes.prototypes import Prototypes

    relevance, spectra = torch.randn(2, 3), torch.rand(4, 3)
    made = Prototypes(
        ("a", "b"), relevance, spectra, torch.arange(4.0), (1, 2), (1.0, 2.0), 0.5, ("a", "b", "b")
    )
    made.save(folder)
    return Prototypes.load


def proxy(folder: Path):
    shutil.copytree(weights / "radio", folder)
    return lambda place: xplain.load_model(f"nmf:{place}")


def latent(folder: Path):
    shutil.copytree(weights / "digits-latent", folder)
    config = json.loads((folder / "config.json").read_text())
    parameters = config["synthesizer"]["parameters"]
    # Its codec stands beside it, under the name that it is shipped with.
    for name, value in parameters.items():
        if isinstance(value, str) and value.startswith("../"):
            parameters[name] = str((weights / "digits-latent" / value).resolve())
    (folder / "config.json").write_text(json.dumps(config))
    return lambda place: xplain.load_model(f"latent:{place}")


def zoo(folder: Path):
    from xplain_zoo.radio import RadioSegmenter

    shutil.copytree(weights / "radio-teacher", folder)
    return RadioSegmenter.from_folder


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Every place in a JSON value."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(below, (*path, key))
    return found


def changed(text: str, chance: random.Random) -> str:
    """JSON with one value changed or removed."""
    data = json.loads(text)
    *above, last = chance.choice(places(data))
    place = data
    for key in above:
        place = place[key]
    if chance.random() < 0.3:
        del place[last]
    else:
        place[last] = chance.choice(VALUES)
    return json.dumps(data)


def bitten(content: bytes, chance: random.Random) -> bytes:
    """Bytes that are cut off, or some of which are others."""
    if chance.random() < 0.3:
        return content[: chance.randrange(len(content))]
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(min(len(data), 2000))] = chance.randrange(256)
    return bytes(data)


@pytest.mark.parametrize(
    ("make", "times"),
    [(dictionary, 60), (prototypes, 60), (proxy, 25), (latent, 12), (zoo, 25)],
)
def test_whatever_is_changed(tmp_path, make, times):
    load = make(tmp_path / "whole")
    load(tmp_path / "whole")
    chance = random.Random(0)
    state = torch.get_rng_state()
    refused = 0
    for number in range(times):
        folder = tmp_path / f"{number}"
        shutil.copytree(tmp_path / "whole", folder)
        name = chance.choice(["json", "json", "bytes"])
        files = sorted(folder.glob("*.json" if name == "json" else "*.*"))
        file = chance.choice([f for f in files if f.suffix != ".md" and f.name not in UNREAD])
        if name == "json":
            file.write_text(changed(file.read_text(), chance))
        else:
            file.write_bytes(bitten(file.read_bytes(), chance))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                load(folder)
            except XplainError as error:
                refused += 1
                assert "\n" not in str(error), error
        shutil.rmtree(folder)
    assert refused > times / 6  # the test does damage
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("field", "value"), [("channels", [32, 48, 64]), ("hop", 0), ("window", 2**40), ("bands", -1)]
)
def test_a_network_that_cannot_be_built_is_named(tmp_path, field, value):
    from xplain_zoo.digits import DigitClassifier

    shutil.copytree(weights / "digits", tmp_path / "digits")
    config = tmp_path / "digits" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {field: value}))
    with pytest.raises(xplain.ArtifactError, match=rf"config\.json: at \$\.{field}"):
        DigitClassifier.from_folder(tmp_path / "digits")


def test_a_long_value_is_cut_where_it_is_quoted(tmp_path):
    """Whatever a file holds, the refusal stays readable."""
    shutil.copytree(weights / "radio", tmp_path / "radio")
    config = tmp_path / "radio" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"component_labels": [7] * 9999}))
    with pytest.raises(XplainError) as refused:
        xplain.load_model(f"nmf:{tmp_path / 'radio'}")
    assert 50 < len(str(refused.value)) < 700
    with pytest.raises(XplainError) as refused:
        xplain.explain(
            torch.zeros(8000) + 0.1,
            "zoo:digits",
            sample_rate=8000,
            explainer="occlusion",
            params={"window": list(range(9999))},
        )
    assert 50 < len(str(refused.value)) < 700
