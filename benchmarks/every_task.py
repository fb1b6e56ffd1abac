"""Every task from Python and from the command line, with models of others or of their real size.

    python benchmarks/every_task.py                        # all; a folder of pages in out/tasks
    python benchmarks/every_task.py --only embedding ctc

Each model is a factory of this file, so that what is printed can be typed. What the two say of
the target has to be the same, and a page has to be there. The weights of the two recognisers
are random, as many as in the published models: what they write means nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import soundfile
import torch

import xplain

sys.path.insert(0, str(Path(__file__).parent))  # where the command loads this file by itself

from recordings import recordings, shared
from third_party import dnsmos, silero, speaker
from third_party.cases import RATE, folder, ina_cases

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz'"]


def ina() -> xplain.Model:
    """Speech, music or noise: inaSpeechSegmenter."""
    return next(ina_cases()).model


def speech() -> xplain.Model:
    """A voice detector that decides in every frame: Silero."""
    return xplain.wrap(
        silero.Silero.load(shared() / "models" / "silero" / "silero_vad_16k.onnx"),
        sample_rate=RATE,
        labels=["speech"],
        multilabel=True,
        frame_step=silero.FRAME_STEP,
        name="silero",
    )


def quality() -> xplain.Model:
    """Opinion scores: DNSMOS."""
    made, labels = dnsmos.Dnsmos.load(folder()), dnsmos.LABELS
    return xplain.wrap(
        made, sample_rate=RATE, labels=labels, task="regression", unit="MOS", name="dnsmos"
    )


def voice() -> xplain.Model:
    """A speaker encoder: Resemblyzer."""
    encoder = speaker.VoiceEncoder.load(folder())
    return xplain.wrap(encoder, sample_rate=RATE, task="embedding", name="resemblyzer")


def ctc() -> xplain.Model:
    """wav2vec2-base with a head of letters."""
    import transformers

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as place:
        network = transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config())
        torch.nn.init.normal_(network.lm_head.weight, std=0.5)
        network.save_pretrained(place)
        transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(place)
        vocabulary = Path(place) / "letters.json"
        vocabulary.write_text(json.dumps({t: n for n, t in enumerate(LETTERS)}), "utf-8")
        transformers.Wav2Vec2CTCTokenizer(vocabulary).save_pretrained(place)
        return xplain.load_model(f"hf:{place}")


def seq2seq() -> xplain.Model:
    """A recogniser of Whisper-tiny's size."""
    import transformers
    from tokenizers import Tokenizer, decoders, models

    torch.manual_seed(0)
    tokens = ["<pad>", "<s>", "</s>", "Ġ", *"abcdefghijklmnopqrstuvwxyz", "Ġa", "Ġb"]
    made = Tokenizer(models.BPE({t: n for n, t in enumerate(tokens)}, [("Ġ", "a"), ("Ġ", "b")]))
    made.decoder = decoders.ByteLevel()
    config = transformers.WhisperConfig(
        **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1},
        **{"begin_suppress_tokens": None, "max_target_positions": 12, "vocab_size": len(tokens)},
        **{"encoder_layers": 4, "decoder_layers": 4, "d_model": 384},
        **{"encoder_attention_heads": 6, "decoder_attention_heads": 6},
        **{"encoder_ffn_dim": 1536, "decoder_ffn_dim": 1536},
    )
    with tempfile.TemporaryDirectory() as place:
        network = transformers.WhisperForConditionalGeneration(config)
        for parameter in network.model.decoder.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        network.generation_config.max_length = 6
        network.save_pretrained(place)
        transformers.WhisperFeatureExtractor(feature_size=80).save_pretrained(place)
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
        ).save_pretrained(place)
        return xplain.load_model(f"hf:{place}")


@dataclass(frozen=True)
class Asked:
    """A task's clip (data set, seconds of its first recording), and what is asked.

    target: in Python; flags: the same on the command line. settings: beside the target.
    """

    clip: tuple[str, float]
    target: xplain.Target | str | None = None
    flags: tuple[str, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)


ASKED = {
    "ina": Asked(("emodb", 1.2)),
    "speech": Asked(("emodb", 1.6), "speech@0.5-1.0", ("--target", "speech@0.5-1.0")),
    "quality": Asked(("emodb", 1.2), "overall", ("--target", "overall"), {"steps": 8}),
    "voice": Asked(("emodb", 1.6)),
    "ctc": Asked(("emodb", 0.5), settings={"steps": 4}),
    "seq2seq": Asked(("emodb", 0.5), settings={"steps": 2}),
}
"""Factory → question. The embedding's is another recording of the same data set."""


def cut(name: str, seconds: float, out: Path, number: int = 0) -> Path:
    """The beginning of a recording, as a file."""
    recording = recordings(name, "test")[number]
    samples, rate = soundfile.read(recording.path, dtype="float32", always_2d=True)
    place = out / f"{recording.path.stem}-{seconds:g}s.wav"
    soundfile.write(place, samples[: round(seconds * rate)], rate)
    return place


def both(name: str, out: Path) -> str:
    """Explain one task both ways; a row of the table."""
    asked = ASKED[name]
    clip = cut(*asked.clip, out)
    target, flags = asked.target, [*asked.flags]
    if name == "voice":
        other = cut(*asked.clip, out, 1)
        target, flags = xplain.SimilarTo(str(other)), ["--similar-to", str(other)]
    start = time.process_time()
    model = globals()[name]()
    e = xplain.explain(str(clip), model, target=target, params=asked.settings)
    spent = time.process_time() - start
    flags += [f"--param={key}={value}" for key, value in asked.settings.items()]
    command = ["xplain", "explain", str(clip), "--model", f"{Path(__file__)}:{name}", *flags]
    place = out / name
    tool = Path(sys.executable).with_name("xplain")
    run = [tool, *command[1:], "--json", "--overwrite", "--out", place]
    done = subprocess.run(run, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return f"| {model.task} | {name} | FAILED ({done.returncode}) |"
    said = json.loads(done.stdout)
    same = said["target"]["label"] == e.target.label and Path(said["files"]["page"]).is_file()
    answer = f"{e.target.label} ({e.target.said})"
    verdict = said["verdict"]["kind"]
    cells = (model.task, name, answer, "yes" if same else "NO", verdict, f"{spent:.0f}")
    return f"| {' | '.join(cells)} | `{' '.join(command)}` |"


def main() -> None:
    """Explain, and print."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--only", nargs="*", default=list(ASKED), choices=list(ASKED))
    arguments.add_argument("--out", type=Path, default=Path("out/tasks"))
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    print("| task | model | explained | both ways the same | verdict | s | command |")
    print("|---" * 7 + "|")
    for name in options.only:
        print(both(name, options.out), flush=True)


if __name__ == "__main__":
    main()
