from __future__ import annotations

import http.server
import socket
import threading
import time

import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.text import probe
from nnunet_textguided.text.encoders import load_text_encoder


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server():
    """An HTTP server whose answer's status is set by `server.status`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.server.asked += 1
            self.send_response(self.server.status)
            self.end_headers()

        def log_message(self, *args):
            pass

    instance = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    instance.status, instance.asked = 200, 0
    thread = threading.Thread(target=instance.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield instance
    instance.shutdown()
    thread.join()
    instance.server_close()


@pytest.fixture
def silent_server():
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(("status", "reached"), [(200, True), (401, True), (404, True), (503, False)])
def test_an_answering_endpoint_is_asked_once(server, monkeypatch, status, reached):
    server.status = status
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
    assert probe.can_reach_hub() is reached
    assert server.asked == 1


def test_offline_by_choice_asks_nobody(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not probe.can_reach_hub()
    assert server.asked == 0


def test_a_silent_endpoint_costs_no_more_than_the_timeout(silent_server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", silent_server)
    start = time.monotonic()
    assert not probe.can_reach_hub(timeout=0.3)
    assert time.monotonic() - start < 1.5


def test_a_slow_name_lookup_costs_no_more_than_the_timeout(monkeypatch):
    def slow_lookup(*_, **__):
        time.sleep(2)
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", slow_lookup)
    start = time.monotonic()
    assert not probe.can_reach("http://hub.invalid", timeout=0.2)
    assert time.monotonic() - start < 1.5


def test_a_nonsense_endpoint_is_unreachable(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "no url")
    assert not probe.can_reach_hub()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A hub cache that holds me/model/model.safetensors, in the hub client's own layout."""
    folder = tmp_path / "models--me--model"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0123abcd")
    (folder / "snapshots" / "0123abcd").mkdir(parents=True)
    (folder / "snapshots" / "0123abcd" / "model.safetensors").write_bytes(b"x")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_cached_weights_need_no_network(cache, silent_server, monkeypatch):
    monkeypatch.setattr(probe, "can_reach_hub", lambda *_: pytest.fail("probed although cached"))
    assert probe.cached_file("me/model", ["a.bin", "model.safetensors"]).read_bytes() == b"x"
    assert probe.cached_file("me/model", ["a.bin"]) is None
    probe.ensure_reachable("me/model", "model.safetensors", "Weights", "Try another.")
    probe.ensure_reachable("me/model", None, "Weights", "Try another.")


def test_unreachable_weights_are_one_clear_error(cache, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(probe.WeightsUnreachableError, match=r"Weights 'x'.*HF_HUB_OFFLINE.*Try another\."):
        probe.ensure_reachable("me/model", "other.bin", "Weights 'x'", "Try another.")
    assert issubclass(probe.WeightsUnreachableError, UserError)


def test_a_tag_without_network_fails_in_seconds_and_names_the_ways_out(tmp_path, monkeypatch):
    pytest.importorskip("open_clip")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(probe.WeightsUnreachableError) as caught:
        load_text_encoder("ViT-B-32", "laion2b_s34b_b79k")
    assert time.monotonic() - start < 6
    text = str(caught.value)
    assert all(part in text for part in ("laion2b_s34b_b79k", "another tag", "--text-weights FILE", "random | one-hot"))
