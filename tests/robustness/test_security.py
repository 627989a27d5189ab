"""Nothing that comes from outside runs code, leaves its folder, or gets into the report as more than text."""

import ast
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf

import descriptors
from descriptors import config
from descriptors.checkpoints import CheckpointError, read_checkpoint
from descriptors.checks import ConfigError
from descriptors.cli import main
from descriptors.data.sources import index_photos
from descriptors.networks import Compact
from descriptors.report import write_report
from descriptors.trust import IMPORTABLE
from descriptors.verbs.hloc_file import HlocFile
from descriptors.weights import load_network, read_weights, save_weights
from tests.robustness.record import record
from tests.test_report import HEADER, SUMMARY
from tests.test_training import SMALL, train
from tests.verbs.scenes import make_photos
from tests.verbs.test_extract import some_features
from tests.weights import finished_card, network_of, save_small

PACKAGE = Path(descriptors.__file__).parent
MARK = "<script>alert(1)</script>"


# -- no code from outside ---------------------------------------------------------------------------------------------


UNPICKLING = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
EXCEPT_FOR = {  # the file that may, and why
    "evaluation/retrieval/plain_pickle.py": "pickle",  # its Unpickler refuses every name that is not plain data
    "choice.py": "import_module",  # what the user's own configuration names
    "cli.py": "import_module",  # its own table of verbs
    "completing/table.py": "import_module",  # the same table
    "__init__.py": "import_module",  # its own table of public names
}
NEEDED = {  # calls and the words that make them safe
    "torch.load": {"weights_only": True},
    "np.load": {"allow_pickle": False},
    "numpy.load": {"allow_pickle": False},
    "Environment": {"autoescape": True},
}
FORBIDDEN = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.hub.load", "yaml.load"}
FORBIDDEN |= {"yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "torch.jit.load", "runpy.run_path"}


def unsafe(source, name=""):
    """What in a Python file could run what it reads."""
    found, excused = [], EXCEPT_FOR.get(name)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom) and excused != "pickle":
            found += [f"import of {module}" for module in _imported(node) if module.split(".")[0] in UNPICKLING]
        if isinstance(node, ast.Call):
            found += _unsafe_call(node, excused)
    return found


def _imported(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    only_the_error = [alias.name for alias in node.names] == ["UnpicklingError"]
    return [] if only_the_error else [node.module or ""]


def _unsafe_call(node, excused):
    called = ast.unparse(node.func)
    words = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
    needed = NEEDED.get(called, {})
    if called.endswith(".from_pretrained"):
        needed = {"trust_remote_code": False} if "Auto" in called else {}
        needed |= {} if called.startswith("AutoConfig") else {"use_safetensors": True}
    found = [
        f"{called} without {key}={value}" for key, value in needed.items() if words.get(key, "absent") is not value
    ]
    if called in FORBIDDEN or called.endswith((".extractall", ".extract")) or words.get("shell") is True:
        found.append(called)
    if called.endswith("import_module") and excused != "import_module":
        found.append(called)
    return found


def test_no_module_of_the_package_can_run_what_it_reads():
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 200
    found = {
        str(path.relative_to(PACKAGE)): unsafe(path.read_text(), path.relative_to(PACKAGE).as_posix()) for path in files
    }
    assert {name: calls for name, calls in found.items() if calls} == {}
    record("modules searched for unsafe calls", tried=len(files), unsafe=0)


@pytest.mark.parametrize("source", [
    "import pickle", "from pickle import loads", "import joblib", "from pickle import UnpicklingError, load",
    "torch.load(path)", "torch.load(path, weights_only=False)", "torch.load(path, weights_only=chosen)",
    "np.load(path)", "np.load(path, allow_pickle=True)", "yaml.load(text)", "yaml.unsafe_load(text)",
    "eval(text)", "exec(text)", "importlib.import_module(text)", "subprocess.run(text, shell=True)", "os.system(text)",
    "AutoModel.from_pretrained(name)", "ResNetBackbone.from_pretrained(name)", "AutoConfig.from_pretrained(name)",
    "AutoModel.from_pretrained(name, use_safetensors=True, trust_remote_code=True)", "tar.extractall(folder)",
    "Environment(autoescape=False)", "Environment()",
])  # fmt: skip
def test_the_search_finds_what_is_unsafe(source):
    assert unsafe(source)


def test_yaml_and_settings_run_no_code(tmp_path, capsys):
    mark = tmp_path / "ran"
    for number, value in enumerate((f"!!python/object/apply:os.system ['touch {mark}']", "!!python/name:os.system ''")):
        path = tmp_path / f"odd{number}.yaml"
        path.write_text(f"seed: {value}\n")
        assert main(["train", str(path)]) == 2
        assert "is not valid YAML" in capsys.readouterr().err
        with pytest.raises(yaml.YAMLError):
            OmegaConf.create(path.read_text())  # as the report reads a run's config.yaml
    assert main(["train", "in_batch", f"seed=!!python/object/apply:os.system ['touch {mark}']"]) == 2
    assert not mark.exists()
    record("hostile files and names", tried=5, refused_or_harmless=5, succeeded=0)


class Calls:
    """Pickles as a call."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(tmp_path, capsys):
    mark, path = tmp_path / "ran", tmp_path / "bad.ckpt"
    torch.save({"state_dict": {}, "experiment": Calls(mark), "global_step": 1}, path)
    with pytest.raises(CheckpointError, match="can't be read"):
        read_checkpoint(path)
    with pytest.raises(ValueError, match="can't be read"):
        descriptors.load(path)
    assert main(["train", "in_batch", f"resume={path}"]) == 2
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists(), "the file would have run"
    record("hostile files and names", tried=3, refused_or_harmless=3, succeeded=0)


# -- networks that weights name ---------------------------------------------------------------------------------------


class Own(Compact):
    """A network of the user's own."""

    def __init__(self, settings):
        super().__init__(dim=settings.dim, width=settings.width, norm="instance")


OWN = f"{Own.__module__}:Own"


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """(module's name, a file that is there once it was imported)."""
    mark = tmp_path / "ran"
    (tmp_path / "hostile_module.py").write_text(f"open({str(mark)!r}, 'w').close()\nNetwork = None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "hostile_module", raising=False)
    return "hostile_module", mark


def card_naming(name):
    card = finished_card()
    return card | {"network": card["network"] | {"name": name}}


def checkpoint_naming(name, path):
    """A training checkpoint whose network is called so."""
    experiment = card_naming(name)["config"] | {"network": card_naming(name)["network"]}
    tensors = {f"network.{key}": value for key, value in network_of().state_dict().items()}
    torch.save(
        {"state_dict": tensors, "experiment": experiment, "global_step": 3, "summary": {}, "callbacks": {}}, path
    )
    return path


@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
@pytest.mark.parametrize("attribute", [":Network", ""])
def test_weights_that_name_code_are_refused_and_it_is_not_imported(suffix, attribute, tmp_path, hostile, capsys):
    module, mark = hostile
    name, path = module + attribute, tmp_path / f"weights.{suffix}"
    if suffix == "ckpt":
        checkpoint_naming(name, path)
    else:
        save_weights(network_of(), card_naming(name), path)
    said = rf"its network is '{name}', code that would be imported and run; if you trust both, allow it: --allow-imp"
    with pytest.raises(ValueError, match=said):
        descriptors.load(path)
    photos, target = str(make_photos(tmp_path / "photos")), str(tmp_path / "out.h5")
    for words in (
        ["extract", photos, "--describer", str(path), "--output", target],
        ["export", str(path), "--format", "hloc", "--output", str(tmp_path / "own.py")],
        ["export", str(path), "--format", "onnx", "--output", str(tmp_path / "own.onnx")],
        ["index", photos, "--weights", str(path), "--output", str(tmp_path / "index.csv")],
        ["evaluate", str(path), "--protocol", "bundled", "--no-cache"],
    ):
        assert main(words) == 2, words
        assert "would be imported" in capsys.readouterr().err.splitlines()[-1], words
    assert not mark.exists()
    with pytest.raises(ConfigError):
        load_network(path, allow_imports=True)
    assert mark.exists(), "the card would have run"
    record("hostile files and names", tried=6, refused_or_harmless=6, succeeded=0)


@pytest.mark.parametrize("key", IMPORTABLE)
def test_resuming_imports_no_code_that_only_the_checkpoint_names(key, tmp_path, hostile, capsys):
    module, mark = hostile
    path = checkpoint_naming("compact", tmp_path / "step=00000003.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    section, _, leaf = key.rpartition(".")
    settings = checkpoint["experiment"]
    for part in section.split("."):
        settings = settings[part]
    settings[leaf] = f"{module}:Network"
    torch.save(checkpoint, path)
    assert main(["train", "in_batch", *SMALL, f"resume={path}"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"was made with {key} = '{module}:Network', code that would be imported and run" in said
    assert f"say it anew: {key}={module}:Network" in said
    assert not mark.exists()
    record("hostile files and names", tried=1, refused_or_harmless=1, succeeded=0)


@pytest.mark.slow
def test_a_run_of_a_network_of_ones_own_goes_its_whole_way(tmp_path, photo_folder, capsys):
    words = [f"data.root={photo_folder}", "trainer.max_steps=2", f"network.name={OWN}", "network.norm=instance"]
    run = tmp_path / "run"
    assert train("in_batch", run, *words) == 0
    assert read_weights(run / "weights.safetensors")[1]["network"]["name"] == OWN
    again = [f"output_dir={run}", "resume=auto", "trainer.max_steps=3", "trainer.progress_bar=false"]
    assert main(["train", "in_batch", *again]) == 2
    assert f"say it anew: network.name={OWN}" in capsys.readouterr().err
    assert main(["train", "in_batch", *again, f"network.name={OWN}"]) == 0
    assert json.loads((run / "summary.json").read_text())["steps"] == 3
    with pytest.raises(ValueError, match="would be imported"):
        descriptors.load(run)
    assert isinstance(descriptors.load(run, allow_imports=True).network, Own)
    photos = make_photos(tmp_path / "photos")
    target = tmp_path / "features.h5"
    assert main(["extract", str(photos), "--describer", str(run), "--output", str(target), "--allow-imports"]) == 0
    extractor = tmp_path / "own.py"
    assert main(["export", str(run), "--format", "hloc", "--output", str(extractor), "--allow-imports"]) == 0
    assert '"allow_imports": True' in extractor.read_text()


@pytest.mark.slow
def test_a_network_of_ones_own_is_evaluated_at_the_end_of_its_run(tmp_path, photo_folder):
    words = [f"data.root={photo_folder}", "trainer.max_steps=1", f"network.name={OWN}", "network.norm=instance"]
    assert train("in_batch", tmp_path, *words, "evaluate_at_end=true") == 0
    assert "rows" in json.loads((tmp_path / "summary.json").read_text())["bundled_evaluation"]


@pytest.mark.parametrize(("changes", "said"), [
    ({"width": 100_000}, "network.width = 100000 is too large"),
    ({"dim": "many"}, "describes no network of this version"),
    ({"colour": "red"}, "describes no network of this version"),
    ({"dim": None}, "describes no network of this version"),
])  # fmt: skip
def test_a_card_that_makes_no_sense_is_refused_in_a_sentence(changes, said, tmp_path):
    path = save_small(tmp_path / "weights.safetensors")
    _, card = read_weights(path)
    save_weights(network_of(), card | {"network": card["network"] | changes}, path)
    with pytest.raises(ValueError, match=said):
        load_network(path)
    record("hostile files and names", tried=1, refused_or_harmless=1, succeeded=0)


@pytest.mark.parametrize("network", [None, [], "compact"])
def test_a_card_without_a_network_is_refused_in_a_sentence(network, tmp_path):
    path = save_weights(network_of(), {"network": network}, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="does not say which network it is of"):
        load_network(path)


# -- nothing leaves its folder ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../x", "/x", "a/b", "..", "", "a\0b"])
def test_an_experiments_name_cannot_put_its_run_elsewhere(name, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text(f"base: in_batch\nname: {json.dumps(name)}\n")
    with pytest.raises(ConfigError, match="is no folder's name"):
        config.load(str(path), [], config.REPOSITORY / "experiments")
    record("hostile files and names", tried=1, refused_or_harmless=1, succeeded=0)


def test_photo_lists_only_ever_read_photos(tmp_path):
    inside, outside = tmp_path / "list" / "photos", tmp_path / "outside"
    for folder, level in ((inside, 80), (outside, 160)):
        folder.mkdir(parents=True)
        noise = np.random.default_rng(level).integers(0, level, (64, 64, 3), np.uint8)
        cv2.imwrite(str(folder / "photo.png"), noise)
    (tmp_path / "secret").write_text("password\n")
    names = [
        "photos/photo.png",
        "../outside/photo.png",
        "../secret",
        "/etc/passwd",
        "../../../../etc/shadow",
        "/dev/zero",
    ]
    (tmp_path / "list" / "list.txt").write_text("\n".join(names))
    before = set(tmp_path.rglob("*"))
    index = index_photos(tmp_path / "list" / "list.txt", 32, tmp_path / "cache")
    assert list(index.names) == names[:2]
    assert set(index.skipped) == set(names[2:])
    assert not any("password" in reason or "root:" in reason for reason in index.skipped.values())
    written = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(tmp_path / "cache") for path in written)
    record("hostile files and names", tried=5, refused_or_harmless=5, succeeded=0)


@pytest.mark.parametrize("name", ["../../x.png", "a/../../../x.png", "b/../x.png"])
def test_names_in_hdf5_files_lead_nowhere(name, tmp_path, capsys):
    photos = tmp_path / "photos" / "b" / "c"
    photos.mkdir(parents=True)
    for place in (tmp_path, photos.parent, photos):
        cv2.imwrite(str(place / "x.png"), np.zeros((20, 10, 3), np.uint8))
    file = HlocFile(tmp_path / "in" / "features.h5", "identity", {})
    file.write(name, "content", replace(some_features(), descriptors=np.eye(3, 128, dtype=np.float32)))
    before = set(tmp_path.rglob("*"))
    words = [
        "export",
        str(file.path),
        "--format",
        "colmap",
        "--output",
        str(tmp_path / "in" / "d.db"),
        "--pairs",
        "none",
    ]
    assert main([*words, "--photos", str(photos)]) == 2
    assert f"holds no '{name}'" in capsys.readouterr().err
    assert set(tmp_path.rglob("*")) == before
    record("hostile files and names", tried=1, refused_or_harmless=1, succeeded=0)


# -- the report is text -----------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Counts tags, and the attributes that would run something."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.handlers = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.handlers += [name for name, value in attributes if name.startswith("on") or "javascript:" in (value or "")]


def places(value, path=()):
    """Where texts lie in nested containers."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*path, key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from places(part, (*path, number))
    elif isinstance(value, str):
        yield path


def test_every_text_of_a_run_is_only_text_in_its_report(tmp_path):
    texts = list(places(SUMMARY))
    for number, attack in enumerate(
        (MARK, '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}{% raw %}", "' onload='alert(1)")
    ):
        summary = json.loads(json.dumps(SUMMARY))
        for path in texts:
            part = summary
            for key in path[:-1]:
                part = part[key]
            if path[-1] not in ("describer", "set", "protocol"):  # these choose rows
                part[path[-1]] = attack
        summary["dataset"]["skipped"][attack] = attack
        summary["counts"][attack] = 1
        summary["versions"][attack] = attack
        run = tmp_path / str(number)
        (run / "figures").mkdir(parents=True)
        cv2.imwrite(str(run / "figures" / "pairs.png"), np.zeros((8, 8, 3), np.uint8))
        named = re.sub("/", "", attack) + ".png"
        (run / "figures" / named).write_bytes((run / "figures" / "pairs.png").read_bytes())
        (run / "figures" / f"broken {named}").write_bytes(b"no picture")
        (run / "config.yaml").write_text(f"name: {json.dumps(attack)}\nminer: {{name: {json.dumps(attack)}}}\n")
        (run / "metrics.csv").write_text(f"{HEADER}\n0,50,0.7,2,400,3,1,\n")
        (run / "summary.json").write_text(json.dumps(summary))
        page = write_report(run).read_text()
        seen = Tags(page)
        assert "script" not in seen.tags
        assert not seen.handlers
        assert seen.tags.count("img") == page.count('<img src="data:image/')
        assert "default-src 'none'" in page
        assert "{{ 7 * 7 }}" in page or "7 * 7" not in attack
    record("hostile files and names", tried=4 * len(texts), refused_or_harmless=4 * len(texts), succeeded=0)


@pytest.mark.slow
def test_a_photos_name_and_a_settings_value_are_only_text_in_the_report_of_a_real_run(tmp_path, photo_folder):
    folder = tmp_path / "photos"
    (folder / "<script>alert(1)<").mkdir(parents=True)
    for path in photo_folder.glob("*.png"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / MARK).with_suffix(".png").write_bytes(b"no photo")
    (folder / "<img src=x onerror=alert(1)>.jpg").write_bytes(b"no photo")
    words = [f"data.root={folder}", "trainer.max_steps=1", f"wandb_group={MARK}"]
    assert train("in_batch", tmp_path / "run", *words) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    seen = Tags(page)
    assert page.count("&lt;script&gt;alert(1)&lt;") >= 2
    assert "&lt;img src=x onerror=alert(1)&gt;.jpg" in page
    assert "script" not in seen.tags
    assert not seen.handlers
