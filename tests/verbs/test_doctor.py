"""`doctor`: a line a finding, a picture of the photos, and the command that fits."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest
from PIL import Image

from descriptors.doctor import machine, photos
from descriptors.verbs import doctor
from tests.verbs.scenes import command


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(machine, "HUB", "http://127.0.0.1:9")
    monkeypatch.setattr(machine, "findings", lambda found=machine.findings: found("http://127.0.0.1:9"))


def test_it_says_what_works_and_the_command_that_fits(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    code, said, _ = command(capsys, "doctor")
    lines = {line[7:].split("  ")[0]: line for line in said if line.strip()}
    assert code == 0
    assert lines["GPU"].startswith(" note")
    assert lines["model hub"].startswith(" note")
    assert "in_batch_full" in lines["weights"]
    assert said[-1] == "next: make train EXP=gd_mining"


def test_of_photos_it_says_how_many_and_why_others_are_left_out(capsys, tmp_path, photo_folder):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in photo_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "cut.png").write_bytes((folder / "00.png").read_bytes()[:200])
    (folder / "copy.png").write_bytes((folder / "00.png").read_bytes())
    Image.new("RGB", (20, 20)).save(folder / "small.png")
    sheet = tmp_path / "sheet.png"
    code, said, _ = command(capsys, "doctor", "--data", folder, "--picture", sheet, "--cache", tmp_path / "cache")
    count = len(list(photo_folder.iterdir()))
    assert code == 0
    last, said = said[-1], "\n".join(said)
    assert f"{count} usable" in said
    assert "1 files have the content of another" in said
    assert "'cut.png'" in said
    assert "too small (e.g. 'small.png')" in said
    assert f"{count - 4} to train on, 4 held out" in said
    assert Image.open(sheet).width > 1000
    assert last == f"next: make train EXP=gd_mining DATA={folder}"


def test_a_missing_folder_is_said_before_the_machine_is_looked_at(capsys, monkeypatch):
    monkeypatch.setattr(machine, "findings", lambda: pytest.fail("the machine was looked at"))
    code, said, error = command(capsys, "doctor", "--data", "nowhere")
    assert (code, said) == (2, [])
    assert error == "error: --data nowhere does not exist; name a folder of photos, a list of their paths, or shards."


def test_what_does_not_work_is_the_exit_status(capsys, monkeypatch):
    monkeypatch.setattr("PIL.features.check", lambda codec: codec != "webp")
    code, said, _ = command(capsys, "doctor")
    assert code == 1
    assert any(line.startswith("wrong  decoders") and "cannot read WebP" in line for line in said)


@pytest.mark.parametrize(("memory", "count", "scale"), [(80, 500, "h200"), (80, 50, None), (12, 500, "paper")])
def test_the_command_fits_the_gpu_and_the_photos(memory, count, scale, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    about = type("About", (), {"total_memory": memory * 2**30})
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda number: about)
    assert doctor.next_command("p", count) == f"make train EXP=gd_mining{f' SCALE={scale}' if scale else ''} DATA=p"


class Answers(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words):
        pass


def test_the_hub_is_asked_and_a_silent_one_is_no_failure():
    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    assert machine.hub_reached(f"http://127.0.0.1:{server.server_port}").state == "ok"
    server.shutdown()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found = machine.hub_reached(f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert found.state == "note"
    assert "does not answer" in found.said


def test_a_small_shared_memory_is_said_with_the_way_out(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=2**26))
    assert machine.shared_memory().state == "note"
    assert "data.workers=0" in machine.shared_memory().said


def test_names_that_cannot_be_drawn_are_spelled_out():
    assert photos._caption("a\nb\udcff.jpg") == "a\\nb\\udcff.jpg"
    assert photos._caption("x" * 60 + ".jpg").startswith("...")
