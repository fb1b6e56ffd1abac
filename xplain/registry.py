"""Discovery of plugins, their names, and what becomes of the ones that fail.

A plugin is an entry point in the group ``xplain`` that names a module. Each is
checked and called in a plugin manager of its own, so that one that fails is
rolled back by dropping it: nothing of it stays, and no other plugin notices.
"""

from __future__ import annotations

import importlib
import inspect
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import pluggy

from xplain import hookspecs
from xplain.discovery import Fault, Found, canonical, installed
from xplain.errors import PluginError, XplainError, nearest, one_line
from xplain.parameters import typed

GROUP = "xplain"

LISTED = 4096
"""Numbers of a tensor-valued parameter that provenance holds one by one."""

INTERFACES: Mapping[str, str] = {
    "explainer": "xplain.interfaces:Explainer",
    "synthesizer": "xplain.interfaces:Synthesizer",
    "segmenter": "xplain.interfaces:Segmenter",
    "replacement": "xplain.interfaces:Replacement",
    "grouping": "xplain.interfaces:Grouping",
    "metric": "xplain.metric:Metric",
}
"""What is made of each kind that can be made; a model is what any callable returns."""


@dataclass(frozen=True)
class Plugin:
    """One thing that was registered, or one plugin that could not be loaded.

    state: "ok", or "failed" with its cause; a failed one is of the kind "plugin" and
    has its entry point's name.
    """

    kind: str
    name: str
    distribution: str
    version: str
    summary: str = ""
    target: str = ""
    state: str = "ok"
    cause: str = ""

    @property
    def full_name(self) -> str:
        """The name that is never ambiguous: distribution/name."""
        return f"{self.distribution}/{self.name}"


class Registry:
    """What was found at the entry points, by kind and name."""

    def __init__(
        self,
        found: Iterable[Found],
        faults: Iterable[Fault],
        *,
        only: set[str] | None,
        strict: bool,
        trace: Callable[[str], object] | None = None,
    ) -> None:
        """Load the entry points, and list what is wrong with the distributions.

        only: distributions to load (None: all). strict: raise the first failure. trace: is
        told each call of a hook, with its arguments and what became of it.
        """
        self.plugins: list[Plugin] = []
        known = set()
        for one in sorted(found, key=lambda f: (f.distribution, f.entry.name)):
            known.add(one.distribution)
            if only is not None and one.distribution not in only:
                continue
            try:
                self.plugins += _load(one, self.plugins, trace)
            except (Exception, SystemExit) as raised:  # Ctrl-C is the user's, and passes
                self._failed(one.entry.name, one.distribution, one.version, raised, strict)
        for fault in faults:
            known.add(fault.distribution)
            if only is None or fault.distribution in only:
                error = PluginError(fault.cause)
                self._failed(fault.name, fault.distribution, fault.version, error, strict)
        for name in sorted((only or set()) - known):
            cause = "named by XPLAIN_PLUGINS, but no distribution of that name has a plugin"
            if strict:
                raise PluginError(f"{name}: {cause}; install it or correct the variable")
            self.plugins.append(Plugin("plugin", name, name, "", state="failed", cause=cause))

    def _failed(
        self, name: str, distribution: str, version: str, error: BaseException, strict: bool
    ) -> None:
        """List a plugin as failed; raise instead where that is strict."""
        cause = _cause(error)
        if strict:
            origin = f"{distribution} {version}".strip()
            raise PluginError(f"plugin {name!r} of {origin} failed: {cause}") from error
        failed = Plugin("plugin", name, distribution, version, state="failed", cause=cause)
        self.plugins.append(failed)

    def find(self, kind: str, name: str) -> Plugin:
        """Look a full or short name up; PluginError where it is unknown or ambiguous."""
        known = [p for p in self.plugins if p.kind == kind]
        matches = [p for p in known if name in (p.name, p.full_name)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            listed = " or ".join(repr(p.full_name) for p in matches)
            raise PluginError(f"the {kind} name {name!r} is ambiguous; say {listed}")
        failed = [p for p in self.plugins if p.state == "failed"]
        hint = f" ({len(failed)} plugins failed to load: run xplain plugins)" if failed else ""
        raise PluginError(f"no {kind} {name!r}; {nearest(name, (p.name for p in known))}{hint}")

    def has(self, kind: str, full_name: str) -> bool:
        """Whether something is registered under a full name."""
        return any((p.kind, p.full_name) == (kind, full_name) for p in self.plugins)

    def factory(self, plugin: Plugin) -> Callable[..., Any]:
        """Import what a plugin registered; PluginError naming it where that is not possible."""
        module, _, attribute = plugin.target.partition(":")
        try:
            with _making():
                made: Any = importlib.import_module(module)
            for part in attribute.split("."):
                made = getattr(made, part)
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{plugin.kind} {plugin.full_name!r} cannot be loaded from {plugin.target!r}: "
                f"{_cause(error)}; install what it needs or report it to its authors"
            ) from error
        if not callable(made):
            raise PluginError(
                f"{plugin.kind} {plugin.full_name!r}: {plugin.target!r} is not a class or function"
            )
        return made  # type: ignore[no-any-return]

    def parameters(self, kind: str, name: str) -> list[str]:
        """Names of the parameters a registered thing is made with."""
        return constructor_parameters(self.factory(self.find(kind, name)))

    def typed(self, kind: str, name: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        """Parameters with the types that a registered thing asks for; see parameters.typed.

        Raises PluginError for one that it does not have, or of another type.
        """
        plugin = self.find(kind, name)
        factory = self.factory(plugin)
        accepted = constructor_parameters(factory)
        for parameter in parameters:
            if parameter not in accepted:
                raise PluginError(
                    f"{kind} {plugin.full_name!r} has no parameter {parameter!r}; "
                    f"{nearest(parameter, accepted)}"
                )
        return typed(factory, parameters, f"{kind} {plugin.full_name!r}")

    def create(self, kind: str, name: str, parameters: Mapping[str, object]) -> Any:
        """Make an instance of what is registered, with parameters checked by name.

        Raises PluginError for unknown names and parameters, and for a factory that
        does not give what its kind asks.
        """
        plugin = self.find(kind, name)
        factory = self.factory(plugin)
        if kind == "metric" and isinstance(factory, interface(kind)):
            return factory.configured(**parameters)  # a function, with no instances to make
        parameters = self.typed(kind, name, parameters)
        try:
            with _making():
                made = factory(**parameters)
        except (TypeError, ValueError) as error:
            shown = ", ".join(f"{k}={v!r}" for k, v in parameters.items()) or "no parameters"
            raise PluginError(
                f"{kind} {plugin.full_name!r} does not take {shown}: {error}"
            ) from error
        except XplainError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{kind} {plugin.full_name!r} cannot be made: {_cause(error)}; "
                "install what it needs or report it to its authors"
            ) from error
        asked = interface(kind)
        if not isinstance(made, asked):
            raise PluginError(
                f"{kind} {plugin.full_name!r}: {plugin.target!r} gave {type(made).__name__}, "
                f"which is not an xplain.{asked.__name__}; its authors have to mend it"
            )
        return made

    def describe(self, kind: str, instance: object, plugin: Plugin | None = None) -> dict[str, Any]:
        """Name, version, parameters and fingerprint of an instance, for provenance.

        plugin: what it was made by; for others the plugin of its class is looked up.
        Parameters are the attributes named as the constructor's arguments
        (scikit-learn's convention); what JSON cannot hold is written as its repr.
        """
        cls = type(instance)
        plugin = plugin or next((p for p in self.plugins if _registers(p, kind, cls)), None)
        return {
            "name": plugin.full_name if plugin else f"{cls.__module__}:{cls.__qualname__}",
            "version": plugin.version if plugin else None,
            "parameters": {
                name: _as_json(getattr(instance, name))
                for name in constructor_parameters(cls)
                if hasattr(instance, name)
            },
            "sha256": instance.fingerprint() if hasattr(instance, "fingerprint") else None,
        }


def _making() -> AbstractContextManager[None]:
    # Here, since discovery loads no torch.
    from xplain.borrowing import making

    return making()


def registry() -> Registry:
    """The registry of what is installed, loaded once for a setting of the environment."""
    return _registry(*_environment())


class Unfit(Exception):
    """What a plugin gave cannot be used; raised inside called(), which says whose it is."""


@contextmanager
def called(
    kind: str, instance: object, advice: Callable[[Exception], str] = lambda error: ""
) -> Iterator[None]:
    """Call what is registered of a kind; what it raises becomes a PluginError with its name.

    advice: what to do, as the end of the message.
    """
    try:
        yield
    except XplainError:
        raise
    except Exception as error:
        name = registry().describe(kind, instance)["name"]
        failed = f"failed: {one_line(error)}{advice(error)}"
        text = str(error) if isinstance(error, Unfit) else failed
        raise PluginError(f"{kind} {name!r} {text}") from error


def traced(trace: Callable[[str], object]) -> Registry:
    """The registry loaded anew, with every call of a hook told to ``trace``."""
    return _discover(*_environment(), trace)


def list_plugins() -> list[Plugin]:
    """Everything registered, and every plugin that failed with its cause."""
    return list(registry().plugins)


def interface(kind: str) -> Any:
    """The class that what is registered of a kind is an instance of; loads torch."""
    module, _, name = INTERFACES[kind].partition(":")
    return getattr(importlib.import_module(module), name)


def constructor_parameters(factory: Callable[..., Any]) -> list[str]:
    """Names a factory can be called with; none where it does not say (some written in C)."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return []
    return [p.name for p in signature.parameters.values() if p.kind in kinds]


def _environment() -> tuple[str | None, bool]:
    """XPLAIN_PLUGINS as it stands, and whether XPLAIN_STRICT is on."""
    strict = os.environ.get("XPLAIN_STRICT", "").lower() not in ("", "0", "false", "no")
    return os.environ.get("XPLAIN_PLUGINS"), strict


@cache
def _registry(only: str | None, strict: bool) -> Registry:
    return _discover(only, strict, None)


def _discover(only: str | None, strict: bool, trace: Callable[[str], object] | None) -> Registry:
    names = None if only is None else {canonical(n) for n in only.split(",") if n.strip()}
    found, faults = installed()
    ours = [one for one in found if one.entry.group == GROUP]
    return Registry(ours, faults, only=names, strict=strict, trace=trace)


def _load(
    found: Found, present: list[Plugin], trace: Callable[[str], object] | None
) -> list[Plugin]:
    """Everything one entry point registers; raises for whatever is wrong with it."""
    module = found.entry.load()
    stated = getattr(module, "XPLAIN_API", None)
    if stated != hookspecs.API_VERSION:
        states = "no XPLAIN_API" if stated is None else f"XPLAIN_API = {stated!r}"
        raise PluginError(
            f"it states {states}, this xplain needs {hookspecs.API_VERSION}; "
            "install a version of the plugin made for this xplain"
        )
    manager = pluggy.PluginManager("xplain")
    manager.add_hookspecs(hookspecs)
    hooks = dict(manager.hook.__dict__)  # before the plugin can add any
    if trace is not None:
        manager.trace.root.setwriter(trace)
        manager.enable_tracing()
    manager.register(module, found.entry.name)
    _check_hooks(module, manager, hooks)
    new: list[Plugin] = []
    for hook in hooks.values():
        kind = hook.name.removeprefix("register_").removesuffix("s")
        hook(register=_collector(found, kind, present, new))
    if not new:
        raise PluginError(
            "it registers nothing; give it a hook such as register_explainers(register) "
            "that calls register(name, target)"
        )
    return new


def _check_hooks(module: object, manager: pluggy.PluginManager, hooks: Mapping[str, Any]) -> None:
    """Refuse hooks that would never be called: of an unknown name, or not marked."""
    marked = {caller.name: caller for caller in manager.get_hookcallers(module) or ()}
    for name, caller in marked.items():
        if name not in hooks and not all(i.optionalhook for i in caller.get_hookimpls()):
            raise PluginError(f"there is no hook {name!r}; {nearest(name, hooks)}")
    for name in hooks:
        if name not in marked and callable(getattr(module, name, None)):
            raise PluginError(f"its {name} is not a hook; mark it with @xplain.hookimpl")


def _collector(
    found: Found, kind: str, present: list[Plugin], new: list[Plugin]
) -> hookspecs.Register:
    distribution, version = found.distribution, found.version

    def register(name: str, target: str, *, summary: str = "") -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
            raise PluginError(f"the {kind} name {name!r} is not kebab-case (my-method)")
        if not re.fullmatch(r"[\w.]+:[\w.]+", target):
            raise PluginError(f"the target {target!r} of {kind} {name!r} is not 'module:attribute'")
        key = (kind, name, distribution)
        if any((p.kind, p.name, p.distribution) == key for p in (*present, *new)):
            raise PluginError(f"the {kind} {name!r} is registered twice in {distribution}")
        new.append(Plugin(kind, name, distribution, version, summary, target))

    return register


def _cause(error: BaseException) -> str:
    """One line for an exception: its class, unless the message is ours, and what it says."""
    return str(error) if isinstance(error, PluginError) else one_line(error)


def _registers(plugin: Plugin, kind: str, cls: type) -> bool:
    """Whether a plugin registers a class; one that is not imported yet cannot."""
    module, _, attribute = plugin.target.partition(":")
    return plugin.kind == kind and getattr(sys.modules.get(module), attribute, None) is cls


def _as_json(value: object) -> object:
    """A value as it comes back from JSON; a tensor or an array that is not large as lists."""
    numbers, shape = getattr(value, "tolist", None), getattr(value, "shape", None)
    if callable(numbers) and isinstance(shape, tuple) and math.prod(shape) <= LISTED:
        return _as_json(numbers())
    if isinstance(value, Mapping):
        return {str(k): _as_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(v) for v in value]
    plain = value is None or isinstance(value, str | int | bool)
    return value if plain or (isinstance(value, float) and math.isfinite(value)) else repr(value)
