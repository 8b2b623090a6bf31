"""What the tests of the wheel share. The wheel is on PYTHONPATH (`./test --only python` puts it there), AFT_BIN names the program."""
import base64
import json
import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def golden():
    return json.loads((ROOT / "tests/golden/decisions.json").read_text())


@pytest.fixture(scope="session")
def program():
    return os.environ["AFT_BIN"]


@pytest.fixture(scope="session")
def snapshots(golden, tmp_path_factory):
    """{name: path of a snapshot file}, those of the golden decisions."""
    folder = tmp_path_factory.mktemp("snapshots")
    for name, text in golden["snapshots"].items():
        (folder / f"{name}.avro").write_bytes(base64.b64decode(text))
    return {name: str(folder / f"{name}.avro") for name in golden["snapshots"]}
