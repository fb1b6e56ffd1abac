"""What this plugin registers; xplain imports it to list plugins, so torch stays out."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_explainers(register: Register) -> None:
    target = "xplain_leave_one_out.explainer:LeaveOneOut"
    register("leave-one-out", target, summary="The drop of the score without a group of frames")
