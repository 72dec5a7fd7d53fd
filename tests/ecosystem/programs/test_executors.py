# SPDX-License-Identifier: MIT OR Apache-2.0
"""concurrent.futures and joblib's executors on contexts of multiprocessing, and processes that are killed under them."""

from __future__ import annotations

from pathlib import Path

import pytest

EXECUTOR = """
import multiprocessing, os, signal, sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from states import state

def square(number):
    return number * number

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def fail():
    raise LookupError("as asked")

def main():
    context = multiprocessing.get_context(sys.argv[1])
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(executor.map(square, range(100), chunksize=7)) == [n * n for n in range(100)]
        futures = [executor.submit(square, n) for n in range(50)]
        assert sum(future.result() for future in as_completed(futures)) == sum(n * n for n in range(50))
        assert len(executor.submit(bytes, 3_000_000).result()) == 3_000_000
        assert isinstance(executor.submit(fail).exception(), LookupError)
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        assert isinstance(executor.submit(die).exception(20), BrokenProcessPool)
    print(state().decode())

if __name__ == "__main__":
    main()
"""

LOKY = """
import numpy
from joblib import Parallel, delayed
from states import state

def total(array):
    return float(array.sum())

def main():
    arrays = [numpy.ones(200_000) * n for n in range(8)]
    for backend in ("loky", "multiprocessing", "threading"):
        found = Parallel(2, backend=backend, max_nbytes="1M")(delayed(total)(array) for array in arrays)
        assert found == [200_000.0 * n for n in range(8)], (backend, found)
    print(state().decode())

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_process_pool_executor(run_program, tmp_path: Path, method: str) -> None:
    (tmp_path / "program.py").write_text(EXECUTOR)
    run_program("program.py", method)


def test_joblib_backends(run_program, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(LOKY)
    run_program("program.py")
