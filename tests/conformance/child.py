# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs inside the interpreter under test: lists the classes of a suite, runs one, or says where code is from.

The only argument is the order in JSON: mode (list, run, witness), prelude, results, and module, class or
modules. Records go to the file `results`, one JSON line each, because tests and their children own the
standard streams.
"""

import json
import os
import signal
import sys

RESOURCES = ["network", "cpu", "subprocess", "walltime"]
LONGEST_WAIT = 30.0
LONGEST_REASON = 4000


class Records:
    """The file of records; a forked child of a test writes nothing to it."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "a", buffering=1)  # noqa: SIM115
        self._owner = os.getpid()

    def put(self, *values: object) -> None:
        """Write one record."""
        if os.getpid() == self._owner:
            self._file.write(json.dumps(values) + "\n")


def origin(value: object) -> str:
    """The file that an object's code is in, or its type."""
    if isinstance(value, type):
        home = sys.modules.get(value.__module__)
        methods = (getattr(value, name, None) for name in sorted(vars(value)))
        files = {function.__code__.co_filename for function in methods if hasattr(function, "__code__")}
        return " ".join([getattr(home, "__file__", None) or "built-in", *sorted(files)])
    code = getattr(value, "__code__", None)
    return code.co_filename if code is not None else type(value).__name__


def witness(names: "list[str]") -> "dict[str, list[str]]":
    """For each module the files that its public names come from."""
    import importlib

    modules = {name: importlib.import_module(name) for name in names}
    found = {}
    for name, module in modules.items():
        public = [
            (key, value)
            for key, value in sorted(vars(module).items(), key=lambda item: item[0])
            if key[:2] != "__"
        ]
        found[name] = [str(module.__file__), *(f"{key}: {origin(value)}" for key, value in public)]
    return found


def testify(path: str, method: str, names: "list[str]") -> None:
    """The witness of one process."""
    Records(path).put("witness", method, witness(names))


def witnesses(path: str, names: "list[str]") -> None:
    """The witness of this process, and of a child by each start method."""
    testify(path, "", names)
    import multiprocessing

    for method in multiprocessing.get_all_start_methods():
        process = multiprocessing.get_context(method).Process(target=testify, args=(path, method, names))
        process.start()
        process.join()


def run(module_name: str, class_name: str, records: Records) -> None:
    """Run one class and record every test."""
    import importlib
    import unittest

    import test.support

    module = importlib.import_module(module_name)

    class Result(unittest.TextTestResult):
        """Writes each outcome down as soon as it is known."""

        def _name(self, test: unittest.TestCase) -> str:
            return getattr(test, "_testMethodName", None) or str(test)

        def startTest(self, test: unittest.TestCase) -> None:
            super().startTest(test)
            records.put("start", self._name(test))

        def addSuccess(self, test: unittest.TestCase) -> None:
            super().addSuccess(test)
            records.put("end", self._name(test), "pass", "")

        def addError(self, test: unittest.TestCase, err: object) -> None:
            super().addError(test, err)
            records.put(
                "end", self._name(test), "error", self._exc_info_to_string(err, test)[-LONGEST_REASON:]
            )

        def addFailure(self, test: unittest.TestCase, err: object) -> None:
            super().addFailure(test, err)
            records.put(
                "end", self._name(test), "fail", self._exc_info_to_string(err, test)[-LONGEST_REASON:]
            )

        def addSkip(self, test: unittest.TestCase, reason: str) -> None:
            super().addSkip(test, reason)
            records.put("end", self._name(test), "skip", reason)

        def addExpectedFailure(self, test: unittest.TestCase, err: object) -> None:
            super().addExpectedFailure(test, err)
            records.put("end", self._name(test), "xfail", "")

        def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
            super().addUnexpectedSuccess(test)
            records.put("end", self._name(test), "fail", "unexpected success")

        def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: object) -> None:
            super().addSubTest(test, subtest, err)
            if err is not None:
                text = self._exc_info_to_string(err, subtest)[-LONGEST_REASON:]
                records.put("end", self._name(test), "fail", text)

    suite = unittest.defaultTestLoader.loadTestsFromTestCase(getattr(module, class_name))
    unittest.TextTestRunner(stream=sys.stderr, verbosity=0, resultclass=Result).run(suite)
    records.put("done", bool(test.support.environment_altered))


def classes(module_name: str) -> "dict[str, list[str]]":
    """The test classes of a module and their methods."""
    import importlib
    import unittest

    loader = unittest.defaultTestLoader
    found = {
        name: list(loader.getTestCaseNames(value))
        for name, value in sorted(vars(importlib.import_module(module_name)).items())
        if isinstance(value, type) and issubclass(value, unittest.TestCase)
    }
    return {name: methods for name, methods in found.items() if methods}


def main() -> None:
    """Carry out the order."""
    order = json.loads(sys.argv[1])
    records = Records(order["results"])
    # A shell that starts a job in the background makes it ignore SIGINT; some tests send it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    exec(order["prelude"], {"__name__": "prelude"})
    if order["mode"] == "witness":
        witnesses(order["results"], order["modules"])
        return
    import test.support

    test.support.use_resources = RESOURCES
    test.support.verbose = 0
    # As regrtest's --timeout does. WithThreadsTestPool.test_terminate of 3.11 sleeps that long when it loses a race.
    test.support.LONG_TIMEOUT = min(test.support.LONG_TIMEOUT, LONGEST_WAIT)
    if order["mode"] == "list":
        records.put("classes", classes(order["module"]))
    else:
        run(order["module"], order["class"], records)
    sys.stdout.flush()
    # Leaving the ordinary way would wait for whatever a failed test left running.
    os._exit(0)


if __name__ == "__main__":
    main()
