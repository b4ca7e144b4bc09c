"""Change the code in small ways, one at a time, and see whether the tests notice. Needs the package cosmic-ray.

python scripts/mutation.py --out out/mutation [--only graph metrics]

The mutants are those of cosmic-ray, without the swaps that hardly any code survives (a sum made a shift, a product
made a power). They are applied to a copy of the repository under --out. A second call goes on where the first was
stopped; remove the folder when the code has changed. At the end it prints a table, and `survivors.txt` holds the
differences that no test noticed.

Each mutant is tested in a fork of a process that has already imported the libraries, but nothing of this package. A
file of `geometry` is tested by its own tests alone.
"""

import argparse
import contextlib
import gc
import io
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 40
"""A mutant whose tests take more of the processor's time counts as noticed."""

MEMORY = 8 * 2**30
"""Bytes that a mutant may address."""

UNLIKELY = (
    r"core/ReplaceBinaryOperator_\w+_(FloorDiv|Mod|Pow|RShift|LShift|BitOr|BitAnd|BitXor)",
    r"core/ReplaceBinaryOperator_(BitOr|BitAnd|BitXor|FloorDiv|Mod|Pow)_(Add|Sub|Mul|Div)",
    r"core/ReplaceComparisonOperator_\w+_(Is|IsNot)",
    r"core/Replace(Unary|Binary)Operator_\w+_(Invert|Not)",
)
"""Operators that make what is mostly no program at all: they would only flatter the tests."""


@dataclass(frozen=True)
class Target:
    """A part of the package, and the tests that are its, first those that notice most."""

    name: str
    source: str
    tests: tuple[str, ...]


TARGETS = (
    Target("graph", "pyspiga_geo/graph", ("tests/graph",)),
    Target(
        "attention",
        "pyspiga_geo/nn/landmark_attention.py",
        ("tests/nn/test_landmark_attention.py", "tests/nn/test_attention_*.py"),
    ),
    Target("metrics", "pyspiga_geo/evaluation/metrics.py", ("tests/evaluation/test_*metrics.py",)),
    Target("losses", "pyspiga_geo/training/losses.py", ("tests/training/test_losses.py",)),
    *(
        Target(f"geometry.{name}", f"pyspiga_geo/geometry/{name}.py", (f"tests/geometry/test_{name}.py",))
        for name in ("camera", "crops", "ellipses", "pose", "rotation", "warp")
    ),
)


def serve(address: str, tree: Path) -> None:
    """Fork for every connection and run pytest with the arguments it sends; answer with its exit code."""
    for library in ("torch_geometric.nn", "scipy.stats", "skimage.transform", "roma", "hypothesis", "torchmetrics"):
        __import__(library)
    import matplotlib.pyplot  # noqa: F401
    import pytest

    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(["--markers"])  # imports its plugins
    gc.freeze()  # or every fork would look through, and so copy, all of it
    os.chdir(tree)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        while True:
            connection, _ = server.accept()
            child = os.fork()
            if child == 0:
                os._exit(test_in_child(connection))
            connection.close()
            threading.Thread(target=os.waitpid, args=(child, 0), daemon=True).start()


def test_in_child(connection: socket.socket) -> int:
    import pytest

    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))  # ends this process
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    arguments = json.loads(connection.makefile().readline())
    sys.path.insert(0, os.getcwd())
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    quick = ["-x", "-q", "--assert=plain", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist"]
    code = int(pytest.main([*quick, *arguments]))
    connection.sendall(f"{code}\n".encode())
    return 0


def ask(address: str, arguments: list[str]) -> int:
    """Have the server test; 1 where it ends without an answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        connection.sendall((json.dumps(arguments) + "\n").encode())
        answer = connection.makefile().readline()
    return int(answer) if answer else 1


def cosmic_ray(*arguments: str | Path, program: str = "cosmic-ray", tree: Path) -> str:
    command = [str(Path(sys.executable).parent / program), *map(str, arguments)]
    return subprocess.run(command, cwd=tree, check=True, stdout=subprocess.PIPE, text=True).stdout


def mutate(target: Target, folder: Path, address: str) -> Path:
    """Test all mutants of a target that have not been tested; the session file."""
    tree, session, config = folder / "tree", folder / f"{target.name}.sqlite", folder / f"{target.name}.toml"
    tests = [str(path.relative_to(tree)) for pattern in target.tests for path in sorted(tree.glob(pattern))]
    if ask(address, tests) != 0:
        raise SystemExit(f"{target.name}: the tests fail without any change: pytest {' '.join(tests)}")
    if not session.exists():
        command = f"{sys.executable} {Path(__file__).resolve()} --ask {address} {' '.join(tests)}"
        config.write_text(
            f"[cosmic-ray]\nmodule-path = {json.dumps(target.source)}\ntimeout = {20 * SECONDS}.0\n"
            f"excluded-modules = []\ntest-command = {json.dumps(command)}\n[cosmic-ray.distributor]\nname = 'local'\n"
            f"[cosmic-ray.filters.operators-filter]\nexclude-operators = {json.dumps(UNLIKELY)}\n"
        )
        part = session.with_suffix(".part")
        part.unlink(missing_ok=True)
        cosmic_ray("init", config, part, tree=tree)
        cosmic_ray(part, config, program="cr-filter-operators", tree=tree)
        part.replace(session)
    cosmic_ray("exec", config, session, tree=tree)
    return session


def outcome(session: Path, tree: Path) -> tuple[int, list[str]]:
    """How many mutants were tested, and the differences of those that survived."""
    tested, survivors = 0, []
    for line in cosmic_ray("dump", session, tree=tree).splitlines():
        item, result = json.loads(line)
        if result is None or result["worker_outcome"] == "skipped":
            continue
        tested += 1
        if result["test_outcome"] == "survived":
            place = item["mutations"][0]
            survivors.append(
                f"{place['module_path']}:{place['start_pos'][0]} {place['operator_name']}\n{result['diff']}"
            )
    return tested, survivors


def main() -> int:
    names = sorted({target.name.partition(".")[0] for target in TARGETS})
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/mutation"))
    parser.add_argument("--only", choices=names, nargs="+", default=names)
    parser.add_argument("--ask", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ask:
        return ask(arguments.ask[0], arguments.ask[1:])
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"}
    folder = arguments.out.resolve()
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)  # one that was stopped may have left a mutant
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".venv", ".git", "out", "docs", "__pycache__"))
    address = str(folder / "server.socket")
    Path(address).unlink(missing_ok=True)
    server = os.fork()
    if server == 0:
        serve(address, tree)
    try:
        while not Path(address).exists():
            if os.waitpid(server, os.WNOHANG) != (0, 0):
                return 1
            time.sleep(0.1)
        rows, survivors = [], []
        for target in (target for target in TARGETS if target.name.partition(".")[0] in arguments.only):
            tested, alive = outcome(mutate(target, folder, address), tree)
            survivors += alive
            caught = 100 * (tested - len(alive)) / tested
            rows.append(f"| {target.name} | {tested} | {len(alive)} | {caught:.1f} % |")
            print(rows[-1], flush=True)
    finally:
        os.kill(server, signal.SIGTERM)
    (folder / "survivors.txt").write_text("\n\n".join(survivors))
    print("\n".join(["", "| part | mutants | survivors | caught |", "|---|---|---|---|", *rows]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
