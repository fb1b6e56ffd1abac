"""Write the hook reference in docs/plugins.md from the hookspecs: python docs/hook_reference.py."""

from __future__ import annotations

import inspect
from pathlib import Path

from xplain import hookspecs
from xplain.registry import INTERFACES

GUIDE = Path(__file__).with_name("plugins.md")
BEGIN = "<!-- written by docs/hook_reference.py from xplain/hookspecs.py -->\n"
FUNCTIONS = {
    "model": "a function: reference → xplain.Model or another reference",
    "adapter": "a function: object → xplain.Model or xplain.Segmenter",
}
END = "<!-- end of the hook reference -->\n"


def reference() -> str:
    """The reference: each hook with its signature, its kind and what it says of itself."""
    lines = [f"This xplain needs `XPLAIN_API = {hookspecs.API_VERSION}`.\n"]
    for name, hook in vars(hookspecs).items():
        if not name.startswith("register_"):
            continue
        kind = name.removeprefix("register_").removesuffix("s")
        gives = INTERFACES.get(kind) or FUNCTIONS[kind]
        arguments = ", ".join(inspect.signature(hook).parameters)
        text = inspect.getdoc(hook) or ""
        lines += [f"### `{name}({arguments})`\n", text + "\n"]
        lines += [f"Kind: {kind}. What the target gives: `{gives}`.\n"]
    signature = inspect.signature(hookspecs.Register.__call__, eval_str=True)
    takes = str(signature).replace("self, ", "")
    lines += [f"`register` is called as `register{takes}`.\n"]
    return "\n".join(lines)


def with_reference(guide: str) -> str:
    """The guide with the reference as the hookspecs give it now."""
    before, _, rest = guide.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{reference()}\n{END}{after}"


if __name__ == "__main__":
    GUIDE.write_text(with_reference(GUIDE.read_text("utf-8")), "utf-8")
