"""`make demo-page`: the service answers, and a browser is asked to open its page."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.demo.conftest import ROOT
from tests.openai_client.test_balancing import free_port
from tests.processes import serving

URL = "http://127.0.0.1:8080"


def test_the_page_is_served_and_a_browser_is_asked_for_it(demo_home: Path, tmp_path: Path) -> None:
    opened, port = tmp_path / "opened", str(free_port())
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{opened}"\n', encoding="utf-8")
    browser.chmod(0o755)
    environment = {"QTTRAG_HOME": str(demo_home), "BROWSER": str(browser), "PYTHONPATH": str(ROOT)}
    url = f"http://127.0.0.1:{port}"
    with serving([sys.executable, "-m", "demo.page", port], url, tmp_path / "log", environment=environment):
        with urllib.request.urlopen(url) as page:
            assert page.status == 200
            assert "<html" in page.read().decode("utf-8")
        deadline = time.monotonic() + 20
        while not (opened.exists() and opened.read_text("utf-8")) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert opened.read_text("utf-8").strip() == url
    with pytest.raises(OSError, match="refused"):  # the service has ended with its page
        urllib.request.urlopen(url, timeout=2).close()


def test_without_a_browser_the_address_is_printed(tmp_path: Path) -> None:
    without = {
        name: value for name, value in os.environ.items() if name not in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    }
    code = f"from demo.page import show; show('{URL}')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**without, "PATH": str(tmp_path)}, cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout == f"no browser could be opened; the page is at {URL}\n"
