"""What this distribution registers; light, since discovery imports it."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1

EXPLAINERS = (
    ("rise", "rise:Rise", "Mean of random masks by the score they leave (Petsiuk et al. 2018)"),
    (
        "leave-one-out",
        "leave_one_out:LeaveOneOut",
        "What the score loses without each word or segment, as a table (Pastor et al. 2024)",
    ),
    (
        "edits",
        "edits:Edits",
        "The clip at another pitch, rate, noise and level, to listen to (Pastor et al. 2024)",
    ),
    (
        "audiolime",
        "audio_lime:AudioLime",
        "A linear model of segments × stems that are mixed at random (Haunschmid et al. 2020)",
    ),
    (
        "l-mac",
        "trained.lmac:LMac",
        "A decoder's mask, trained on the model's hidden layers (Paissan et al. 2024)",
    ),
    (
        "listen-to-interpret",
        "trained.listen:ListenToInterpret",
        "Components of an NMF, trained on the model's hidden layers (Parekh et al. 2022)",
    ),
    (
        "sparse-autoencoder",
        "trained.features:SparseFeatures",
        "Features of the latents, trained to be few in a frame, to listen to (Gao et al. 2024)",
    ),
    (
        "tcav",
        "tcav:Tcav",
        "How a concept, given by two folders of sounds, moves the score (Kim et al. 2018)",
    ),
)


@hookimpl
def register_explainers(register: Register) -> None:
    """Register the explainers."""
    for name, target, summary in EXPLAINERS:
        register(name, f"xplain_interpreters.{target}", summary=summary)
