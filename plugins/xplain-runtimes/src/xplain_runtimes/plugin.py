"""What this distribution registers; light, since discovery imports it."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_models(register: Register) -> None:
    """Register a scheme for each kind of file."""
    register("onnx", "xplain_runtimes.files:onnx", summary="A model in an ONNX file")
    register("tflite", "xplain_runtimes.files:tflite", summary="A model in a TFLite file")


@hookimpl
def register_adapters(register: Register) -> None:
    """Register what is made of other libraries' objects."""
    register(
        "speechbrain",
        "xplain_runtimes.objects:speechbrain",
        summary="An EncoderClassifier of SpeechBrain",
    )
    register("pyannote", "xplain_runtimes.objects:pyannote", summary="A Model of pyannote.audio")
