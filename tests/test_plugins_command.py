"""``xplain plugins`` and ``xplain plugins check``, on distributions that pip installed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from distributions import Distribution, install, run_python

XPLAIN = "import sys; sys.argv[0] = 'xplain'; from xplain.cli.main import main; main()"

HOOKS = """
from xplain import hookimpl
XPLAIN_API = 1

@hookimpl
def register_explainers(register):
    register("ones", "tried_methods:Ones", summary="[bold]Ones[/bold] for everything")
    register("both", "tried_methods:Ones")
    register("unmade", "tried_methods:Unmade")
    register("scaled", "tried_methods:Scaled")

@hookimpl
def register_replacements(register):
    register("both", "tried_methods:Zeros")
"""

METHODS = """
import torch
from xplain import Explainer, Replacement

print("imported")

class Ones(Explainer):
    def attribute(self, score, latents, baseline):
        return torch.ones_like(latents, dtype=torch.float64)

class Zeros(Replacement):
    def fill(self, latents, keep, clip):
        return torch.zeros_like(latents)

class Scaled(Explainer):
    def __init__(self, scale):
        self.scale = float(scale)

    def attribute(self, score, latents, baseline):
        return self.scale * latents

class Unmade(Ones):
    def __init__(self):
        import absent_module
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tried")
    tried = Distribution("tried", {"tried": HOOKS, "tried_methods": METHODS}, entries=("tried",))
    broken = Distribution("broken", {"broken": "1 / 0"})
    install([d.write(folder / "projects") for d in (tried, broken)], folder / "site")
    return folder / "site"


def plugins(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"COLUMNS": "200"}
    return run_python("-c", XPLAIN, "plugins", *arguments, site=site, environment=environment)


# The table


def test_people_read_kind_name_summary_source_and_state(site: Path) -> None:
    done = plugins(site)
    assert done.returncode == 0
    heading, *rows = done.stdout.splitlines()
    assert heading.split() == ["kind", "name", "summary", "source", "state"]
    (ones,) = (row for row in rows if row.startswith("explainer") and " ones " in row)
    assert "[bold]Ones[/bold] for everything" in ones
    assert ones.split()[-3:] == ["tried", "1.0", "ok"]
    assert [row.split() for row in rows if row.startswith("plugin ")] == [
        ["plugin", "broken", "broken", "1.0", "failed"]
    ]
    assert rows[-1] == "failed: broken of broken 1.0: ZeroDivisionError: division by zero"


def test_verbose_says_on_standard_error_which_hooks_were_called(site: Path) -> None:
    done = plugins(site, "--verbose", "--json")
    assert {p["name"] for p in json.loads(done.stdout)} >= {"ones", "both", "broken"}
    assert "register_explainers" in done.stderr and "finish register_replacements" in done.stderr
    assert "register_explainers" not in plugins(site).stderr


# check


def test_a_plugin_that_passes_has_the_status_zero(site: Path) -> None:
    for name in ("tried/both", "both"):
        done = plugins(site, "check", name, "--kind", "replacement")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1].startswith("replacement tried/both: passed in ")


def test_a_plugin_that_fails_has_the_status_one_and_its_broken_rules_are_named(site: Path) -> None:
    done = plugins(site, "check", "ones")
    assert done.returncode == 1
    assert "broken: gives-float32: An attribution of float32 latents is float32." in done.stdout
    assert done.stdout.splitlines()[-1].startswith("explainer tried/ones: failed in ")


def test_machines_read_a_report_and_nothing_else(site: Path) -> None:
    done = plugins(site, "check", "ones", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["verdict"] == "failed" and report["name"] == "tried/ones"
    failed = [o["rule"] for o in report["outcomes"] if o["state"] == "failed"]
    assert "gives-float32" in failed
    assert "imported" in done.stderr


def test_what_cannot_be_made_has_failed_and_the_report_says_why(site: Path) -> None:
    done = plugins(site, "check", "unmade", "--json")
    assert done.returncode == 1
    (outcome,) = json.loads(done.stdout)["outcomes"]
    assert outcome["rule"] == "can-be-made"
    assert "No module named 'absent_module'" in outcome["message"]


def test_what_needs_parameters_is_made_with_those_that_are_given(site: Path) -> None:
    without = plugins(site, "check", "scaled", "--json")
    assert [o["rule"] for o in json.loads(without.stdout)["outcomes"]] == ["can-be-made"]
    given = json.loads(plugins(site, "check", "scaled", "--param", "scale=2", "--json").stdout)
    states = {o["rule"]: o["state"] for o in given["outcomes"]}
    assert states["gives-float32"] == states["comes-back-from-its-description"] == "passed"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("onse",), "no plugin 'onse'; did you mean 'ones'"),
        (("both",), "several kinds; say --kind explainer or --kind replacement"),
        (("broken",), "could not be loaded: ZeroDivisionError"),
        (("ones", "--kind", "explaner"), "did you mean 'explainer'"),
        (("ones", "--kind", "metric"), "no metric 'ones'"),
        (("zoo",), "no contract for the kind 'model'"),
        ((), "Missing argument"),
    ],
)
def test_a_wrong_call_has_the_status_two(arguments: tuple[str, ...], said: str, site: Path) -> None:
    done = plugins(site, "check", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
