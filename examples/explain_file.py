"""Explain which word a model recognises.  python examples/explain_file.py [OUT] [AUDIO]"""

import sys
from importlib.resources import as_file, files
from pathlib import Path

import xplain


def main(out: str = "out/explain_file", audio: str | None = None) -> None:
    # Another model: "hf:FOLDER" for one of Hugging Face, "your_file.py:factory" for your own.
    model = xplain.load_model("zoo:digits")

    with as_file(files("xplain_zoo") / "clips/seven.wav") as seven:
        # Another target: target="one", or one label against another: target="seven", versus="one".
        explanation = xplain.explain(Path(audio or seven), model)

    target = explanation.target
    print(f"{explanation.name}: predicted {target.label!r} ({target.probability:.2f})")
    for outcome in explanation.scores(keep=[0.1], remove=[0.1]):
        verb = "Keeping only" if outcome.kind == "keep" else "Removing"
        print(
            f"{verb} the most important {outcome.ratio:.0%}: {target.label!r} has probability "
            f"{outcome.reencoded.probability:.2f}, "
            f"the model now predicts {outcome.reencoded.label!r}"
        )
    folder = explanation.save(out)
    print(f"Listen to keep-0.1.wav and remove-0.1.wav in {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
