"""The virtual environment under target/ that holds what the checks need; nothing is installed elsewhere."""

import pathlib
import subprocess
import sys

TARGET = pathlib.Path(__file__).resolve().parent.parent.parent / "target" / "cuda"
PYTHON = TARGET / "venv" / "bin" / "python"


def install(packages):
    """Fetches the packages that were not fetched before, without what they depend on."""
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", TARGET / "venv"], check=True)
    listed = subprocess.run([PYTHON, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True)
    missing = sorted(set(packages) - set(listed.stdout.split()))
    if missing:
        subprocess.run([PYTHON, "-m", "pip", "install", "-q", "--no-deps", *missing], check=True)
