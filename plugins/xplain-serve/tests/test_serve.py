"""xplain serve answers its own page alone, about what was uploaded alone."""

from __future__ import annotations

import io
import ipaddress
import socket
import threading
from typing import Any

import pytest
import soundfile
import torch
import uvicorn
from starlette.testclient import TestClient

import xplain
from xplain_serve.server import HOST, LARGEST, OWN_HEADER, application

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


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),  # a form of another site cannot add our header
        ({**OWN, "origin": "https://evil.example"}, 403),
        ({**OWN, "origin": "null"}, 403),  # a sandboxed frame, so also the page of a result
        ({**OWN, "origin": "http://127.0.0.1:1"}, 403),  # another server of this machine
        ({**OWN, "host": "evil.example"}, 400),  # a name that was made to point here
        ({**OWN, "content-length": "many"}, 413),
        ({**OWN, "content-length": str(LARGEST + 1)}, 413),
        ({**OWN, "origin": "http://127.0.0.1"}, 200),
    ],
)
def test_other_sites_and_other_names_of_this_machine_are_not_answered(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    answer = client.post("/explain", data=asked(), files=sound(), headers=headers)
    assert answer.status_code == status
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert "access-control-allow-origin" not in answer.headers


def test_a_sound_that_is_small_and_long_is_refused(client: TestClient) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, torch.zeros(302 * RATE).numpy(), RATE, format="FLAC")
    assert len(buffer.getvalue()) < 100_000
    long = {"sound": ("a.flac", buffer.getvalue())}
    answer = client.post("/explain", data=asked(), files=long, headers=OWN)
    assert answer.status_code == 422 and "at most 5 minutes" in answer.text


def test_groupings_of_plugins_are_offered_but_for_those_that_read_a_file(
    client: TestClient,
) -> None:
    pytest.importorskip("xplain_units")
    answer = client.post(
        "/explain", data=asked(grouping="xplain-units/events"), files=sound(), headers=OWN
    )
    assert answer.status_code == 200, answer.text
    assert "xplain-units/events" in client.get(f"/result/{answer.text}").text
    refused = client.post(
        "/explain", data=asked(grouping="xplain-units/file"), files=sound(), headers=OWN
    )
    assert refused.status_code == 422 and "no grouping" in refused.text


def test_only_this_machine_can_reach_it_and_no_request_leaves_its_pages() -> None:
    """Over real sockets, since a client that tidies addresses proves little."""
    model = xplain.wrap(Loud(), sample_rate=RATE, labels=("loud", NASTY))
    listening = socket.create_server((HOST, 0))
    port = listening.getsockname()[1]
    config = uvicorn.Config(application({"mine": model}), log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()

    def answered(line: str, host: str = f"{HOST}:{port}") -> bytes:
        with socket.create_connection((HOST, port), timeout=10) as connection:
            connection.sendall(
                f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
            return b"".join(iter(lambda: connection.recv(65536), b""))

    try:
        assert answered("GET /").startswith(b"HTTP/1.1 200")
        for path in (
            "/../../../../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "//etc/passwd",
            "/result/../../etc/passwd",
            "/result/%2fetc%2fpasswd",
            "file:///etc/passwd",
        ):
            said = answered(f"GET {path}")
            assert said.split(b" ", 2)[1] in (b"404", b"400") and b"root:" not in said, path
        assert answered("GET /", "evil.example").startswith(b"HTTP/1.1 400")
        assert ipaddress.ip_address(HOST).is_loopback
    finally:
        server.should_exit = True
        thread.join(10)
