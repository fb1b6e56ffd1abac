"""What would have to sound otherwise?  python examples/counterfactual.py [OUT]"""

import sys
from importlib.resources import as_file, files

import xplain


def main(out: str = "out/counterfactual") -> None:
    # Your model and recording here; `edits` needs no gradients, only answers.
    model = xplain.load_model("zoo:digits")
    with as_file(files("xplain_zoo") / "clips/seven.wav") as seven:
        e = xplain.explain(seven, model, explainer="edits", params={"parts": 4})
    print(f"{e.target.label!r} with probability {e.target.probability:.2f}")

    # Each edit of the whole clip, by what it takes from the score of the label.
    for row in sorted(e.extras["edits"], key=lambda row: row["change"])[:4]:
        print(f"{row['edit']} {row['amount']:+g} {row['unit']}: {row['change']:+.2f}")

    # Of each kind the edit that does most can be played. Does the model decide otherwise then?
    for kind in ("pitch", "rate", "noise", "level"):
        edited = e.extras[kind]
        again = xplain.explain(edited, model, explainer="saliency").target
        found = "still" if again.label == e.target.label else "now"
        print(f"{kind}: {found} {again.label!r}, {again.probability:.2f}")
    print(f"Listen to them in {e.save(out)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
