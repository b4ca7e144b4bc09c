"""Give mutated inputs to the public readers: `make fuzz ARGS="--seconds 60 --only tracks"`.

An input is made from a kind, the seed and its number, and is saved where it fails. A reader may refuse an input with a
sentence (ValueError, OSError); another exception, more than 10 s or 2 GB, and the end of the process are failures.
"""

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from fuzz import faces, models, pictures, results
from fuzz.children import make_input, read_all
from fuzz.kind import Kind

KINDS = {kind.name: kind for module in (pictures, faces, models, results) for kind in module.KINDS}


def main() -> int:
    """Run; 1 where an input fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000, help="of all kinds together")
    parser.add_argument("--seconds", type=float, default=1500, help="for all kinds together")
    parser.add_argument("--seed", type=int, default=0, help="another one makes other inputs")
    parser.add_argument("--only", action="append", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"), help="folder of the inputs that fail")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="read one of these again")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # others do not survive a fork
    if arguments.replay is not None:
        return replay(arguments.replay)
    kinds = [KINDS[name] for name in arguments.only or KINDS]
    total, counts = sum(kind.share for kind in kinds), {}
    began, left = time.monotonic(), total
    least = arguments.seconds / len(kinds) / 2  # for each, whatever the others take
    for number, kind in enumerate(kinds, start=1):
        remaining = arguments.seconds - (time.monotonic() - began) - least * (len(kinds) - number)
        seconds = max(min(4 * remaining * kind.share / left, remaining), least)
        inputs = -(-arguments.inputs * kind.share // total)
        counts[kind.name] = fuzz(kind, inputs, seconds, arguments.seed, arguments.out)
        left -= kind.share
    print(f"\n{'kind':<18}{'inputs':>8}{'refused':>9}{'accepted':>10}{'failed':>8}{'slowest':>10}")
    counts["all"] = (sum((count for count, _ in counts.values()), Counter()), max(slow for _, slow in counts.values()))
    for name, (count, slowest) in counts.items():
        numbers = f"{count.total():>8}{count['refused']:>9}{count['accepted']:>10}{count['failed']:>8}"
        print(f"{name:<18}{numbers}{slowest:>8.2f} s")
    print(f"{time.monotonic() - began:.0f} s, seed {arguments.seed}")
    return int(counts["all"][0]["failed"] > 0)


def fuzz(kind: Kind, inputs: int, seconds: float, seed: int, out: Path) -> tuple[Counter[str], float]:
    """Count the outcomes of a kind, and its slowest input; what fails is saved."""
    count, slowest, shown, ends = Counter[str](), 0.0, 0.0, time.monotonic() + seconds
    told: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared = kind.prepare(folder)

        def content(index: int) -> bytes:
            return make_input(kind, prepared, seed, index)

        for result in read_all(kind, prepared, folder, content, range(inputs)):
            count[result.outcome] += 1
            slowest = max(slowest, result.seconds)
            if result.outcome == "failed":
                out.mkdir(parents=True, exist_ok=True)
                file = out / f"{kind.name}.{seed}.{result.index}.input"
                file.write_bytes(content(result.index))
                file.with_suffix(".txt").write_text(result.detail, encoding="utf-8", errors="backslashreplace")
                said = "".join(result.detail.strip().splitlines()[-1:])[:200]
                if told.setdefault(re.sub(r"[\d'\"]+.*", "", said.replace(name, "")), result.index) == result.index:
                    print(f"\r{file}: {said!a}")  # once for each kind of failure
            if sys.stderr.isatty() and time.monotonic() > shown + 0.5:
                shown = time.monotonic()
                print(f"\r{kind.name}: {count.total()} of {inputs}", end="", file=sys.stderr, flush=True)
            if time.monotonic() > ends:
                break
    print(f"\r{kind.name}: {dict(count)}, slowest {slowest:.2f} s", flush=True)
    return count, slowest


def replay(file: Path) -> int:
    """Read one input again, and say what becomes of it."""
    kind = KINDS[file.name.split(".")[0]]
    with tempfile.TemporaryDirectory() as folder:
        prepared = kind.prepare(Path(folder))
        (result,) = read_all(kind, prepared, Path(folder), lambda _: file.read_bytes(), range(1))
    print(
        f"{result.outcome} after {result.seconds:.2f} s\n{result.detail}".encode("ascii", "backslashreplace").decode()
    )
    return int(result.outcome == "failed")


if __name__ == "__main__":
    sys.exit(main())
