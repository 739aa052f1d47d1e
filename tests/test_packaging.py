"""The wheel: its content, its use without a checkout, and that the sdist builds the same wheel."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("prompts", "indexes", "server", "eval")


def _build(what: str, source: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "build", "--no-isolation", f"--{what}", "--outdir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = out.glob("*.whl" if what == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with only the wheel's contents."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def _run(installed: Path, tmp_path: Path, code: str) -> str:
    environment = {"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_wheel_has_every_file_of_the_four_folders_except_the_demos(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = [
        path.relative_to(ROOT)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not {"built", "results"} & set(path.relative_to(ROOT).parts)
    ]
    expected = {f"qttrag/_resources/{path}" for path in tracked if not path.name.startswith("demo")}
    assert expected <= names
    assert not {name for name in names if "/demo" in name}
    assert {f.split("/")[2] for f in names if f.startswith("qttrag/_resources/")} == set(FOLDERS)


def test_the_wheel_has_nothing_else_of_the_checkout(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"qttrag"}


def test_the_wheel_is_typed_and_licensed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "qttrag/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_built_indexes_stay_out_of_the_wheel(tmp_path: Path) -> None:
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    (source / "indexes" / "built" / "big").mkdir(parents=True)
    (source / "indexes" / "built" / "big" / "faiss.index").write_bytes(b"0" * 1000)
    built = _build("wheel", source, tmp_path / "out")
    assert not [name for name in zipfile.ZipFile(built).namelist() if "built" in name]


def test_an_installed_wheel_finds_its_own_folders(installed: Path, tmp_path: Path) -> None:
    code = "from qttrag import resources; print(*(resources.folder(f) for f in resources.FOLDERS), sep='\\n')"
    assert _run(installed, tmp_path, code).splitlines() == [
        str(installed / "qttrag" / "_resources" / folder) for folder in FOLDERS
    ]


def test_an_installed_wheel_reads_its_prompts_and_deployments(installed: Path, tmp_path: Path) -> None:
    code = (
        "from qttrag.config import deployment; from qttrag.prompts import Prompts\n"
        "Prompts().check(); print(deployment.load('laptop').strategy)"
    )
    assert _run(installed, tmp_path, code) == "qtt_rag"


def test_the_sdist_gives_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    sdist = _build("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    from_sdist = _build("wheel", source, tmp_path / "from_sdist")
    assert set(zipfile.ZipFile(from_sdist).namelist()) == set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.parametrize(
    "command", [["-c", "import qttrag"], ["-m", "qttrag", "--help"], ["-m", "qttrag", "ask", "--help"]]
)
def test_import_and_help_load_no_model_library(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", *command], check=True, capture_output=True, text=True)
    loaded = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    models = {"torch", "faiss", "transformers", "sentence_transformers", "ctranslate2", "numpy", "pyarrow"}
    assert not loaded & (models | {"pymilvus", "milvus_lite", "qdrant_client", "grpc", "pandas"})


def test_every_dependency_is_justified() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    required = [line for line in lines if line.startswith('  "') and (">=" in line)]
    assert len(required) > 15
    assert not [line for line in required if "#" not in line]
