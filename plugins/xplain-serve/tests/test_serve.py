"""xplain serve answers its own page alone, about what was uploaded alone."""

from __future__ import annotations

import io
from typing import Any

import pytest
import soundfile
import torch
from starlette.testclient import TestClient

import xplain
from xplain_serve.server import OWN_HEADER, application

RATE = 8000
OWN = {OWN_HEADER: "1"}
NASTY = "<script>alert(1)</script>"


class Loud(torch.nn.Module):
    """Two logits of the energy."""

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        energy = waveform.square().mean(dim=1)
        return torch.stack([energy, 0.02 - energy], dim=1)


@pytest.fixture(scope="module")
def client() -> TestClient:
    model = xplain.wrap(Loud(), sample_rate=RATE, labels=("loud", NASTY))
    return TestClient(application({"mine": model}), base_url="http://127.0.0.1")


def asked(**changed: str) -> dict[str, str]:
    asked = {"model": "mine", "explainer": "saliency", "grouping": "element", "target": ""}
    return {**asked, **changed}


def sound() -> Any:
    buffer = io.BytesIO()
    time = torch.arange(RATE // 2) / RATE
    soundfile.write(buffer, (0.5 * torch.sin(2800 * time)).numpy(), RATE, format="WAV")
    return {"sound": (f"../{NASTY}.wav", buffer.getvalue())}


def test_an_uploaded_sound_becomes_a_page(client: TestClient) -> None:
    start = client.get("/").text
    assert "integrated-gradients" in start and NASTY not in start
    answer = client.post("/explain", data=asked(), files=sound(), headers=OWN)
    assert answer.status_code == 200, answer.text
    page = client.get(f"/result/{answer.text}").text
    assert page.startswith("<!DOCTYPE html>") and NASTY not in page
    assert client.get("/result/another").status_code == 404


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": "zoo:digits"}, "no model"),
        ({"model": "/etc/x.py:make"}, "no model"),
        ({"explainer": "xplain_serve.cli:app"}, "no explainer"),
        ({"grouping": "words"}, "no grouping"),
        ({"target": "nobody"}, "no label"),
    ],
)
def test_only_what_is_offered_can_be_asked(
    client: TestClient, changed: dict[str, str], said: str
) -> None:
    answer = client.post("/explain", data=asked(**changed), files=sound(), headers=OWN)
    assert answer.status_code == 422 and said in answer.text


def test_a_file_that_is_no_sound_and_none_at_all_are_refused(client: TestClient) -> None:
    wrong = {"sound": ("a.wav", b"not audio")}
    answer = client.post("/explain", data=asked(), files=wrong, headers=OWN)
    assert answer.status_code == 422 and "not a recording" in answer.text
    assert "\n" not in answer.text
    path = {**asked(), "sound": "/etc/passwd"}
    assert client.post("/explain", data=path, headers=OWN).status_code == 422


@pytest.mark.parametrize("path", ["/etc/passwd", "/../etc/passwd", "/file=/etc/passwd", "/static/"])
def test_no_file_of_the_machine_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_other_sites_and_other_names_of_this_machine_are_not_answered(client: TestClient) -> None:
    assert client.post("/explain", data=asked(), files=sound()).status_code == 403
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
