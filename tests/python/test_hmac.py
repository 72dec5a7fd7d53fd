# SPDX-License-Identifier: MIT OR Apache-2.0
"""carrick.hmac: the module hmac, computed in Rust."""

from __future__ import annotations

import array
import copy
import hashlib
import hmac as standard
import pickle
import sys
import threading
import weakref
from typing import Any

import pytest
from support import records, run, unhex

import carrick.hmac as hmac

MACS = [pytest.param(*columns[2:], id=f"{columns[2]}-{columns[1]}") for columns in records("macs.txt", "mac")]
NATIVE = ["md5", "sha1", "sha256", "sha384", "sha512", "sha3_256", "sha3_384"]
FALLBACK = ["sha224", "sha3_224", "sha3_512", "blake2b", "blake2s"]


@pytest.mark.parametrize(("algorithm", "key", "message", "tag"), MACS)
def test_vectors(algorithm: str, key: str, message: str, tag: str) -> None:
    key_bytes, message_bytes, expected = unhex(key), unhex(message), unhex(tag)
    assert hmac.new(key_bytes, message_bytes, algorithm).digest() == expected
    assert hmac.new(key_bytes, message_bytes, getattr(hashlib, algorithm)).hexdigest() == tag
    assert hmac.digest(key_bytes, message_bytes, algorithm) == expected
    piecewise = hmac.new(key_bytes, digestmod=algorithm)
    for i in range(0, len(message_bytes), 7):
        piecewise.update(message_bytes[i : i + 7])
    assert piecewise.digest() == expected


@pytest.mark.parametrize("algorithm", NATIVE + FALLBACK)
def test_every_digest_equals_the_standard_modules(algorithm: str) -> None:
    ours = hmac.new(b"key", b"message", algorithm)
    theirs = standard.new(b"key", b"message", algorithm)
    for attribute in ("name", "digest_size", "block_size"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert ours.digest() == theirs.digest()
    assert ours.hexdigest() == theirs.hexdigest()
    assert hmac.digest(b"key", b"message", algorithm) == theirs.digest()
    copied = ours.copy()
    copied.update(b" and more")
    assert copied.digest() == standard.digest(b"key", b"message and more", algorithm)
    assert ours.digest() == theirs.digest(), "a copy goes on by itself"


@pytest.mark.parametrize("algorithm", NATIVE)
def test_a_module_or_constructor_of_another_kind_names_the_digest(algorithm: str) -> None:
    expected = standard.digest(b"key", b"message", algorithm)
    assert hmac.new(b"key", b"message", lambda data=b"": hashlib.new(algorithm, data)).digest() == expected


def test_two_arguments_mean_sha256() -> None:
    assert hmac.new(b"key", b"message").digest() == standard.digest(b"key", b"message", "sha256")
    assert hmac.new(b"key").digest_size == 32
    assert len(hmac.new(b"key", b"message").digest()) == 32, "what the course's recv(32) expects"


def test_two_arguments_are_refused_in_place_of_the_standard_module() -> None:
    run(
        """
        import carrick
        carrick.patch()
        import hmac
        assert hmac.__name__ == "carrick.hmac"
        assert hmac.new(b"k", b"m", "sha256").digest_size == 32
        for call in (lambda: hmac.new(b"k", b"m"), lambda: hmac.new(b"k"), lambda: hmac.new(b"k", digestmod="")):
            try:
                call()
            except TypeError as error:
                assert "digestmod" in str(error)
            else:
                raise AssertionError("two arguments passed")
        """
    )


def test_the_patch_refuses_a_default_that_is_no_digest() -> None:
    run(
        """
        import carrick, sys
        for bad, error in (("foo", ValueError), ("", ValueError), ("shake_128", ValueError), (5, TypeError)):
            try:
                carrick.patch(hmac_default=bad)
            except error as refused:
                assert f"hmac_default {bad!r}" in str(refused), refused
            else:
                raise AssertionError(bad)
        assert not carrick.is_patched()
        carrick.patch(hmac_default="sha224")
        import hmac
        assert hmac.new(b"k", b"m").name == "hmac-sha224"
        """
    )


def test_the_patch_knows_the_core_digests_without_imports() -> None:
    run(
        """
        import carrick, sys
        for name in ("md5", "sha1", "sha256", "sha384", "sha512", "sha3_256", "sha3_384", None):
            carrick.patch(hmac_default=name)
        assert "hashlib" not in sys.modules and "hmac" not in sys.modules
        """
    )


def test_the_patch_can_be_told_what_two_arguments_mean() -> None:
    run(
        """
        import carrick
        carrick.patch(hmac_default="sha256")
        import hmac
        assert hmac.new(b"k", b"m").name == "hmac-sha256"
        carrick.patch(hmac_default=None)
        try:
            hmac.new(b"k", b"m")
        except TypeError:
            pass
        else:
            raise AssertionError("two arguments passed")
        """
    )


@pytest.mark.parametrize("message", [bytearray(b"abc"), memoryview(b"abc"), memoryview(b"a-b-c-")[::1][:3]])
def test_messages_are_any_bytes_like_object(message: object) -> None:
    assert hmac.new(b"key", message, "sha256").digest() == hmac.digest(b"key", message, "sha256")


def test_a_key_may_be_a_bytearray_and_is_copied() -> None:
    key = bytearray(b"key")
    made = hmac.new(key, b"", "sha256")
    key[:] = b"xyz"
    assert made.digest() == standard.digest(b"key", b"", "sha256")


@pytest.mark.parametrize("key", ["text", None, 3, memoryview(b"key")])
def test_a_key_that_is_not_bytes_is_refused_like_the_standard_module_does(key: object) -> None:
    with pytest.raises(TypeError) as ours:
        hmac.new(key, b"m", "sha256")
    with pytest.raises(TypeError) as theirs:
        standard.new(key, b"m", "sha256")  # type: ignore[arg-type]
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("message", ["text", 3, object()])
def test_a_message_that_is_not_bytes_is_refused(message: object) -> None:
    made = hmac.new(b"key", digestmod="sha256")
    for call in (lambda: made.update(message), lambda: hmac.new(b"k", message, "sha256")):
        with pytest.raises(TypeError):
            call()
    assert made.digest() == standard.digest(b"key", b"", "sha256"), "nothing was taken in"


def test_an_unknown_digest_is_refused() -> None:
    for call in (lambda: hmac.new(b"k", b"m", "sha257"), lambda: hmac.digest(b"k", b"m", "sha257")):
        with pytest.raises(ValueError, match="sha257|unsupported|unknown"):
            call()


def test_a_long_message_lets_other_threads_run_and_gives_the_same() -> None:
    message = bytes(range(256)) * 4096
    expected = standard.digest(b"key", message, "sha256")
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(hmac.new(b"key", message, "sha256").digest()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_one_object_updated_from_several_threads_loses_nothing() -> None:
    made = hmac.new(b"key", digestmod="sha256")
    piece = b"x" * 3000  # long enough that the interpreter is given away meanwhile

    def feed() -> None:
        for _ in range(50):
            made.update(piece)

    threads = [threading.Thread(target=feed) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.digest() == standard.digest(b"key", piece * 200, "sha256")


def test_a_subclass_works() -> None:
    class Counting(hmac.HMAC):
        count = 0

        def update(self, msg: object) -> None:
            self.count += 1
            super().update(msg)

    made = Counting(b"key", digestmod="sha256")
    made.update(b"message")
    assert made.count == 1
    copied = made.copy()
    assert type(copied) is Counting and copied.digest() == standard.digest(b"key", b"message", "sha256")


def test_an_object_that_was_not_initialised_says_so() -> None:
    made = hmac.HMAC.__new__(hmac.HMAC)
    with pytest.raises(AttributeError, match="not initialised"):
        made.digest()


@pytest.mark.parametrize("module", [hmac, standard], ids=["ours", "stock"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha224"])
def test_attributes_can_be_set_and_go_with_a_copy(module: Any, algorithm: str) -> None:
    made = module.new(b"key", b"message", algorithm)
    size = made.digest_size
    made.block_size, made.digest_size = 7, 5
    assert (made.block_size, made.digest_size, made.copy().digest_size) == (7, 5, 5)
    if module is hmac:
        # Python 3.11's forgets it.
        assert made.copy().block_size == 7
    made.update(b" and more")
    assert (
        made.digest() == standard.digest(b"key", b"message and more", algorithm)
        and len(made.digest()) == size
    )
    # Python 3.13 and older leave them out.
    assert [getattr(made, name, None) for name in ("_inner", "_outer")] == [None, None]
    assert made._hmac is not None
    inner = hashlib.sha1(b"one")
    made._inner = inner
    assert made._inner is inner
    made._hmac, made._outer = None, hashlib.sha1(b"two")
    assert made.name == "hmac-sha1" and made.digest() == hashlib.sha1(b"two" + inner.digest()).digest()


@pytest.mark.parametrize("module", [hmac, standard], ids=["ours", "stock"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha224"])
def test_copy_copies_and_the_two_share_a_message_as_the_standard_ones(module: Any, algorithm: str) -> None:
    class Slotted(module.HMAC):  # type: ignore[misc]
        __slots__ = ("mine", "unset")

    class Named(Slotted):
        pass

    for cls in (module.HMAC, Slotted, Named):
        made = cls(b"key", b"message", algorithm)
        if cls is not module.HMAC:
            made.mine = [1]
        if cls is Named:
            made.other = [2]
        other = copy.copy(made)
        assert type(other) is cls and other is not made and other.name == f"hmac-{algorithm}"
        if cls is not module.HMAC:
            assert other.mine is made.mine and not hasattr(other, "unset")
        if cls is Named:
            assert other.other is made.other
        other.update(b" and more")
        assert other.digest() == made.digest() == standard.digest(b"key", b"message and more", algorithm)
        apart = made.copy()
        apart.update(b"!")
        assert apart.digest() != made.digest()
        with pytest.raises(TypeError):
            copy.deepcopy(made)
        if cls is module.HMAC:
            with pytest.raises(TypeError):
                pickle.dumps(made)


@pytest.mark.parametrize("name", ["_init_hmac", "_init_openssl_hmac", "_init_builtin_hmac", "_init_old"])
def test_the_initialisers_of_every_version_are_there(name: str) -> None:
    made = hmac.HMAC.__new__(hmac.HMAC)
    getattr(made, name)(b"key", b"message", digestmod="sha256")
    assert made.digest() == standard.digest(b"key", b"message", "sha256")


@pytest.mark.parametrize("key", [memoryview(b"key"), array.array("B", b"key"), "key", None])
def test_digest_takes_the_keys_that_the_standard_one_takes(key: Any) -> None:
    ends = []
    for module in (hmac, standard):
        try:
            ends.append(module.digest(key, b"message", "sha256"))
        except TypeError as error:
            ends.append(type(error))
    assert ends[0] == ends[1]


def test_an_object_has_no_attributes_of_its_own_but_can_be_referred_to_weakly() -> None:
    made = hmac.new(b"key", b"m", "sha256")
    with pytest.raises(AttributeError):
        made.other = 1  # type: ignore[attr-defined]
    assert weakref.ref(made)() is made


def test_an_object_cannot_be_pickled_like_the_standard_one() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(hmac.new(b"key", b"m", "sha256"))


def test_compare_digest_is_the_standard_one() -> None:
    assert hmac.compare_digest is standard.compare_digest


def test_the_module_has_every_name_of_the_standard_one() -> None:
    missing = [name for name in dir(standard) if not hasattr(hmac, name)]
    assert not missing


def test_no_repr_shows_the_key() -> None:
    made = hmac.new(b"a very secret key", b"m", "sha256")
    assert "secret" not in repr(made)
    assert sys.getsizeof(made) > 0
