"""What this plugin registers; xplain imports it to list plugins, so torch stays out."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_groupings(register: Register) -> None:
    target = "xplain_octaves.grouping:Octaves"
    register("octaves", target, summary="The octaves of the spectrum")
