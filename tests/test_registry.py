"""Plugins that fail are named with their cause and take nothing else down.

Every plugin here is a distribution that pip installed, and every question is put to
a fresh interpreter through the public surface.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from distributions import Distribution, install, run_python
from environments import XPLAIN

HEAD = """
import os
from xplain import hookimpl
XPLAIN_API = 1
"""


def plugin(name: str, *also: str) -> str:
    """Source of a plugin that registers a good explainer, and then runs more lines."""
    lines = [f'register("{name}", "well_behaved_methods:Ones", summary="A good one")', *also]
    body = "\n".join(f"    {line}" for line in lines)
    return f"{HEAD}\n@hookimpl\ndef register_explainers(register):\n{body}\n"


METHODS = """
import torch
from xplain import Explainer

class Ones(Explainer):
    def __init__(self, steps=1, tolerance=0.5):
        self.steps, self.tolerance = steps, tolerance

    def attribute(self, score, latents, baseline):
        return torch.ones_like(latents)

class Stranger:
    pass

class Incomplete(Explainer):
    pass

class NeedsMore(Ones):
    def __init__(self):
        import absent_module

class Leaves(Ones):
    def __init__(self):
        raise SystemExit("no licence")

number = 3
"""

AT_USE = {
    "stranger": (
        "well_behaved_methods:Stranger",
        "gave Stranger, which is not an",
    ),
    "builtin": ("builtins:dict", "gave dict, which is not an xplain.Explainer"),
    "incomplete": ("well_behaved_methods:Incomplete", "abstract"),
    "no-module": ("absent_module:Method", "No module named 'absent_module'"),
    "no-attribute": ("well_behaved_methods:Absent", "has no attribute 'Absent'"),
    "not-callable": ("well_behaved_methods:number", "is not a class or function"),
    "needs-more": ("well_behaved_methods:NeedsMore", "No module named 'absent_module'"),
    "leaves": ("well_behaved_methods:Leaves", "SystemExit: no licence"),
}
"""What can be registered and fails at first use: its target, and a part of the cause."""

GOOD = [
    Distribution(
        "well-behaved",
        {"well_behaved": plugin("ones"), "well_behaved_methods": METHODS},
        entries=("well_behaved",),
    ),
    Distribution("twin-a", {"twin_a": plugin("twin")}),
    Distribution("Twin_B", {"twin_b": plugin("twin")}),
    Distribution(
        "looks-ahead",
        {
            "looks_ahead": plugin("looks-ahead")
            + "\n@hookimpl(optionalhook=True)\ndef register_of_later(register):\n    1 / 0\n"
        },
    ),
    Distribution(
        "at-use",
        {"at_use": plugin("usable", *(f"register({n!r}, {t!r})" for n, (t, _) in AT_USE.items()))},
    ),
]


@dataclass(frozen=True)
class Fault:
    """A plugin's source, most of which register "first-of-<distribution>" before they fail."""

    distribution: str
    source: str
    cause: str

    @property
    def module(self) -> str:
        return self.distribution.replace("-", "_")

    @property
    def good(self) -> str:
        return f"first-of-{self.distribution}"


def fault(distribution: str, cause: str, *also: str, before: str = "", after: str = "") -> Fault:
    return Fault(distribution, before + plugin(f"first-of-{distribution}", *also) + after, cause)


FAULTS = [
    fault("raises-on-import", "ZeroDivisionError: division by zero", after="1 / 0\n"),
    fault("missing-module", "No module named 'absent_module'", after="import absent_module\n"),
    fault(
        "wrong-signature",
        "'registry'",
        after="@hookimpl\ndef register_models(registry):\n    pass\n",
    ),
    fault(
        "misspelt-hook",
        "there is no hook 'register_model'; did you mean 'register_models'",
        after="@hookimpl\ndef register_model(register):\n    pass\n",
    ),
    fault(
        "wrong-api-version",
        "it states XPLAIN_API = 99, this xplain needs 1",
        after="XPLAIN_API = 99\n",
    ),
    fault(
        "duplicate",
        "the explainer 'twice' is registered twice in duplicate",
        'register("twice", "well_behaved_methods:Ones")',
        'register("twice", "well_behaved_methods:Ones")',
    ),
    fault(
        "bad-name",
        "the explainer name 'My Method' is not kebab-case",
        'register("My Method", "well_behaved_methods:Ones")',
    ),
    # The eighth of the faults, a factory that is not the interface, is in AT_USE.
    fault("bad-target", "is not 'module:attribute'", 'register("other", "well_behaved_methods")'),
    fault("no-api-version", "it states no XPLAIN_API, this xplain needs 1", after="del XPLAIN_API"),
    fault("exits-on-import", "SystemExit: 3", after="raise SystemExit(3)\n"),
    fault("exits-in-hook", "SystemExit: no licence", 'raise SystemExit("no licence")'),
    fault("raises-midway", "KeyError: 'midway'", 'raise KeyError("midway")'),
    fault(
        "unmarked-hook",
        "its register_models is not a hook; mark it with @xplain.hookimpl",
        after="def register_models(register):\n    pass\n",
    ),
    Fault("registers-nothing", HEAD, "it registers nothing"),
]

INTERRUPTED = Distribution(
    "interrupted",
    {
        "interrupted": plugin("interrupted")
        + 'if "CTRL_C" in os.environ:\n    raise KeyboardInterrupt\n'
    },
)
TWO_ENTRIES = Distribution(
    "two-entries",
    {"entry_a": plugin("of-both"), "entry_b": plugin("of-b") + plugin("of-both")},
    entries=("entry_a", "entry_b"),
)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which all of the above is installed."""
    folder = tmp_path_factory.mktemp("installed")
    faulty = [Distribution(f.distribution, {f.module: f.source}) for f in FAULTS]
    distributions = [*GOOD, *faulty, INTERRUPTED, TWO_ENTRIES]
    install([d.write(folder / "projects") for d in distributions], folder / "site")
    return folder / "site"


def plugins(site: Path | str | None, **environment: str) -> list[dict[str, Any]]:
    """What xplain.list_plugins() says."""
    code = (
        "import json, xplain, dataclasses; "
        "print(json.dumps([dataclasses.asdict(p) for p in xplain.list_plugins()]))"
    )
    done = run_python("-c", code, site=site, environment=environment)
    assert done.returncode == 0, done.stderr
    listed: list[dict[str, Any]] = json.loads(done.stdout)
    return listed


def names(listed: Iterable[dict[str, Any]]) -> set[str]:
    return {f"{p['distribution']}/{p['name']}" for p in listed if p["state"] == "ok"}


def creating(
    explainers: list[tuple[str, dict[str, object]]], site: Path, **environment: str
) -> dict[str, str]:
    """Make each explainer; the class that was made, or the error, by name."""
    code = f"""
import json
from xplain import PluginError
from xplain.registry import registry
result = {{}}
for name, parameters in {explainers!r}:
    try:
        result[name] = type(registry().create("explainer", name, parameters)).__name__
    except PluginError as error:
        result[name] = f"PluginError: {{error}}"
print(json.dumps(result))
"""
    done = run_python("-c", code, site=site, environment=environment)
    assert done.returncode == 0, done.stderr
    result: dict[str, str] = json.loads(done.stdout)
    return result


# Faults found at discovery


@pytest.fixture(scope="session")
def healthy() -> list[dict[str, Any]]:
    """What is listed where nothing else is installed."""
    return plugins(None)


@pytest.fixture(scope="session")
def listed(site: Path) -> list[dict[str, Any]]:
    return plugins(site)


def test_the_other_plugins_work_beside_the_faulty_ones(
    site: Path, listed: list[dict[str, Any]], healthy: list[dict[str, Any]]
) -> None:
    assert names(healthy) <= names(listed)
    assert {"well-behaved/ones", "looks-ahead/looks-ahead"} <= names(listed)
    assert creating([("ones", {}), ("looks-ahead", {})], site) == {
        "ones": "Ones",
        "looks-ahead": "Ones",
    }


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.distribution)
def test_a_faulty_plugin_is_named_with_its_cause_and_nothing_of_it_is_registered(
    fault: Fault, listed: list[dict[str, Any]]
) -> None:
    (found,) = [p for p in listed if p["distribution"] == fault.distribution]
    assert (found["kind"], found["name"], found["state"]) == ("plugin", fault.module, "failed")
    assert found["version"] == "1.0"
    assert fault.cause in found["cause"]
    assert "\n" not in found["cause"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.distribution)
def test_strict_mode_raises_for_a_faulty_plugin(fault: Fault, site: Path) -> None:
    strict = {"XPLAIN_STRICT": "1", "XPLAIN_PLUGINS": fault.distribution}
    done = run_python("-c", "import xplain; xplain.list_plugins()", site=site, environment=strict)
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith("xplain.errors.PluginError: ")
    assert f"plugin {fault.module!r} of {fault.distribution} 1.0 failed: " in error
    assert fault.cause in error


def test_what_a_faulty_plugin_registered_before_its_fault_cannot_be_made(site: Path) -> None:
    rolled_back = [f.good for f in FAULTS]
    for name, result in creating([(name, {}) for name in rolled_back], site).items():
        assert result.startswith(f"PluginError: no explainer {name!r}; ")
        assert "plugins failed to load: run xplain plugins" in result


def test_an_entry_point_that_fails_leaves_the_others_of_its_distribution(
    listed: list[dict[str, Any]],
) -> None:
    one, other = (p for p in listed if p["distribution"] == "two-entries")
    assert (one["state"], one["name"]) == ("ok", "of-both")
    assert (other["state"], other["name"]) == ("failed", "entry_b")
    assert other["cause"] == "the explainer 'of-both' is registered twice in two-entries"


DAMAGED = {
    "malformed": (
        {"other-1.0.dist-info": {"entry_points.txt": b"[console_scripts]\nthis is not ini\n"}},
        "other",
        "other-1.0.dist-info/entry_points.txt cannot be read",
    ),
    "entry points in latin-1": (
        {"other-1.0.dist-info": {"entry_points.txt": "[xplain]\nö = absent\n".encode("latin-1")}},
        "other",
        "other-1.0.dist-info/entry_points.txt cannot be read",
    ),
    "metadata in latin-1": (
        {
            "xplain_of_jörg-2.0.dist-info": {
                "METADATA": "Name: xplain-of-jörg\nVersion: 2.0\n".encode("latin-1"),
                "entry_points.txt": b"[xplain]\no = absent_module\n",
            }
        },
        "xplain-of-jörg",
        "METADATA is not UTF-8",
    ),
    "left behind by pip": (
        {"~roken-1.0.dist-info": {"entry_points.txt": b"[xplain]\nbroken = absent_module\n"}},
        "broken",
        "~roken-1.0.dist-info behind",
    ),
    "left behind by pip, without entry points": (
        {"~plain_foo-1.0.dist-info": {"METADATA": b"Name: xplain-foo\nVersion: 1.0\n"}},
        "~plain-foo",
        "~plain_foo-1.0.dist-info behind",
    ),
    "an entry that names no module": (
        {"other-1.0.dist-info": {"entry_points.txt": b"[xplain]\nbroken = not a module!\n"}},
        "broken",
        "",
    ),
    "commands": (
        {"other-1.0.dist-info": {"entry_points.txt": b"[xplain.commands]\nx = y\nnonsense\n"}},
        "other",
        "entry_points.txt cannot be read",
    ),
}
"""Folders and files in them; the name under which they are listed, and a part of the cause."""


def damage(folder: Path, files: Mapping[str, Mapping[str, bytes]]) -> None:
    for info, contents in files.items():
        (folder / info).mkdir(parents=True)
        for name, data in contents.items():
            (folder / info / name).write_bytes(data)


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_installation_is_named_and_takes_nothing_down(
    kind: str, tmp_path: Path, healthy: list[dict[str, Any]]
) -> None:
    files, name, cause = DAMAGED[kind]
    damage(tmp_path, files)
    found = plugins(tmp_path)
    new = [p for p in found if p not in healthy]
    assert {p["state"] for p in new} == {"failed"} and name in {p["name"] for p in new}
    assert any(cause in p["cause"] for p in new)
    assert [p for p in found if p in healthy] == healthy


@pytest.mark.parametrize("special", ["pipe", "device", "circle", "folder"])
@pytest.mark.parametrize("name", ["entry_points.txt", "METADATA", ""])
def test_an_installation_of_special_files_takes_nothing_down(
    name: str, special: str, tmp_path: Path, healthy: list[dict[str, Any]]
) -> None:
    info = tmp_path / "other-1.0.dist-info"
    damage(tmp_path, {info.name: {"entry_points.txt": b"[xplain]\nbroken = absent_module\n"}})
    place = info / name
    if place.is_file():
        place.unlink()
    elif not name:
        info.rename(tmp_path / "aside")
    if special == "pipe":
        os.mkfifo(place)
    elif special == "folder":
        place.mkdir()
    else:
        place.symlink_to("/dev/zero" if special == "device" else place)
    found = plugins(tmp_path)
    assert [p for p in found if p in healthy] == healthy
    assert {p["name"] for p in found if p not in healthy} <= {"broken", "other"}


def test_an_empty_description_that_hides_a_plugin_is_named_and_the_plugin_is_loaded(
    site: Path, tmp_path: Path, listed: list[dict[str, Any]]
) -> None:
    empty = tmp_path / "well_behaved-0.9.dist-info"
    empty.mkdir()
    found = plugins(f"{tmp_path}{os.pathsep}{site}")
    (fault,) = (p for p in found if p not in listed)
    assert (fault["distribution"], fault["state"]) == ("well-behaved", "failed")
    assert str(empty) in fault["cause"] and str(site / "well_behaved-1.0") in fault["cause"]
    assert [p for p in found if p in listed] == listed


def test_a_distribution_that_is_installed_twice_is_named_with_both_folders(
    site: Path, tmp_path: Path, listed: list[dict[str, Any]]
) -> None:
    project = Distribution("well-behaved", {"well_behaved": plugin("another")})
    install([project.write(tmp_path)], tmp_path / "first")
    found = plugins(f"{tmp_path / 'first'}{os.pathsep}{site}")
    named = {p["name"] for p in found if p["distribution"] == "well-behaved" and p["state"] == "ok"}
    assert named == {"another"}
    (fault,) = (p for p in found if (p["distribution"], p["state"]) == ("well-behaved", "failed"))
    assert str(tmp_path / "first") in fault["cause"] and str(site) in fault["cause"]
    # The same folder twice on the path is one installation.
    assert plugins(f"{site}{os.pathsep}{site}") == listed


def test_commands_are_listed_and_run_beside_damaged_installations(tmp_path: Path) -> None:
    for number, (files, _, _) in enumerate(DAMAGED.values()):
        damage(tmp_path / str(number), files)
    entries = b"[xplain.commands]\ngreet = absent:app\n[xplain.commands.plugins]\nprobe = absent\n"
    damage(tmp_path / "9", {"stranger-1.0.dist-info": {"entry_points.txt": entries}})
    path = os.pathsep.join(str(folder) for folder in tmp_path.iterdir())
    helped = run_python("-c", XPLAIN, "--help", site=path)
    listed = " ".join(helped.stdout.split())
    assert helped.returncode == 0 and " greet cannot be read (stranger)" in listed
    assert "  explain " in helped.stdout and "Traceback" not in helped.stderr
    asked = run_python("-c", XPLAIN, "plugins", "--help", site=path)
    assert asked.returncode == 0 and "  probe " in asked.stdout
    done = run_python("-c", XPLAIN, "greet", site=path)
    assert done.returncode == 2 and "'greet' of stranger cannot be loaded" in done.stderr


def test_no_older_core_and_no_strangers_commands_take_the_place_of_ours(tmp_path: Path) -> None:
    entries = b"[xplain.commands]\nexplain = absent:app\nfit = absent:app\n"
    older = {"METADATA": b"Name: xplain\nVersion: 0.0.1\n", "entry_points.txt": b""}
    stranger = {"METADATA": b"Name: zz\nVersion: 1.0\n", "entry_points.txt": entries}
    damage(tmp_path, {"xplain-0.0.1.dist-info": older, "zz-1.0.dist-info": stranger})
    causes = {(p["name"], p["distribution"]): p["cause"] for p in plugins(tmp_path)}
    assert str(tmp_path / "xplain-0.0.1.dist-info") in causes["xplain", "xplain"]
    for name, ours in (("explain", "xplain"), ("fit", "xplain-codecs")):
        assert causes[name, ours] == "zz has a command of this name, too; uninstall one"
        helped = run_python("-c", XPLAIN, name, "--help", site=tmp_path)
        assert helped.returncode == 0 and "Usage" in helped.stdout


def test_the_user_can_interrupt_while_plugins_are_imported(site: Path) -> None:
    done = run_python(
        "-c", "import xplain; xplain.list_plugins()", site=site, environment={"CTRL_C": "1"}
    )
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"


# Faults found at first use


@pytest.mark.parametrize("strict", ["", "1"])
def test_what_is_not_what_it_was_registered_as_is_named_at_first_use(
    strict: str, site: Path
) -> None:
    environment = {"XPLAIN_STRICT": strict, "XPLAIN_PLUGINS": "at-use"}
    assert all(p["state"] == "ok" for p in plugins(site, **environment))
    made = creating([(name, {}) for name in ("usable", *AT_USE)], site, **environment)
    assert made.pop("usable") == "Ones"
    for name, error in made.items():
        assert error.startswith(f"PluginError: explainer 'at-use/{name}'")
        assert AT_USE[name][1] in error


def test_an_unknown_name_or_parameter_is_answered_with_the_nearest(site: Path) -> None:
    tried: list[tuple[str, dict[str, object]]] = [("onse", {}), ("ones", {"step": 3})]
    made = creating(tried, site, XPLAIN_PLUGINS="well-behaved")
    assert made["onse"] == (
        "PluginError: no explainer 'onse'; did you mean 'ones'? (available: ones)"
    )
    assert made["ones"] == (
        "PluginError: explainer 'well-behaved/ones' has no parameter 'step'; "
        "did you mean 'steps'? (available: steps, tolerance)"
    )


# Names


def test_a_short_name_of_two_distributions_needs_the_full_name(site: Path) -> None:
    made = creating([("twin", {}), ("twin-a/twin", {}), ("twin-b/twin", {})], site)
    assert made == {
        "twin": "PluginError: the explainer name 'twin' is ambiguous; "
        "say 'twin-a/twin' or 'twin-b/twin'",
        "twin-a/twin": "Ones",
        "twin-b/twin": "Ones",
    }


@pytest.mark.parametrize("spelling", ["Twin_B", "twin-b", " twin_b ,well-behaved"])
def test_xplain_plugins_limits_what_is_loaded_however_it_is_spelt(
    spelling: str, site: Path
) -> None:
    asked = {"twin-b/twin"} | ({"well-behaved/ones"} if "," in spelling else set())
    loaded = names(plugins(site, XPLAIN_PLUGINS=spelling, XPLAIN_STRICT="1"))
    assert set(loaded) == asked


def test_xplain_plugins_naming_what_is_not_installed_is_said(site: Path) -> None:
    environment = {"XPLAIN_PLUGINS": "twin-a,absent-plugin"}
    others = [p for p in plugins(site, **environment) if p["distribution"] != "xplain"]
    missing, twin = sorted(others, key=lambda p: str(p["distribution"]))
    assert (missing["distribution"], missing["state"]) == ("absent-plugin", "failed")
    assert "no distribution of that name has a plugin" in missing["cause"]
    assert twin["state"] == "ok"
    code = "import xplain; xplain.list_plugins()"
    done = run_python("-c", code, site=site, environment={**environment, "XPLAIN_STRICT": "1"})
    assert "PluginError: absent-plugin: named by XPLAIN_PLUGINS" in done.stderr


# The listing


def test_the_listing_does_not_depend_on_the_order_of_discovery(
    site: Path, listed: list[dict[str, Any]], tmp_path: Path
) -> None:
    late = Distribution("aaa-late", {"aaa_late": plugin("late")})
    install([late.write(tmp_path)], tmp_path / "site")
    folders = [str(tmp_path / "site"), str(site)]
    one = plugins(os.pathsep.join(folders), PYTHONHASHSEED="1")
    other = plugins(os.pathsep.join(reversed(folders)), PYTHONHASHSEED="2")
    assert one == other
    assert [p for p in one if p["distribution"] != "aaa-late"] == listed


def test_a_listing_imports_no_implementation(site: Path) -> None:
    code = "import sys, xplain; xplain.list_plugins(); print(*sys.modules)"
    loaded = set(run_python("-c", code, site=site).stdout.split())
    assert "well_behaved" in loaded
    assert loaded.isdisjoint({"torch", "numpy", "captum", "transformers", "well_behaved_methods"})
    targets = {p["target"].partition(":")[0] for p in plugins(site)} - {""}
    assert loaded.isdisjoint(targets - {"builtins"})
