# SPDX-License-Identifier: MIT OR Apache-2.0
"""Keyed hashing (RFC 2104): the module :mod:`hmac`, computed in Rust.

The digests md5, sha1, sha256, sha384, sha512, sha3_256 and sha3_384 are the core's; all others are computed
by the standard module. Two arguments are enough for :func:`new`: ``hmac.new(key, msg)`` means SHA-256, where
the standard module of Python 3.8 and later raises TypeError. (In place of the standard module, after
:func:`carrick.patch`, it raises too, unless the patch was told otherwise.)

>>> new(b"key", b"message").digest_size
32
"""

from __future__ import annotations

from carrick import _patch
from carrick._carrick import HMAC as HMAC
from carrick._carrick import hmac_digest
from carrick._carrick import new as new
from carrick._standard import hmac as _standard

# The names of the standard module that it defines for everybody.
compare_digest = _standard.compare_digest
digest_size = None
trans_5C = _standard.trans_5C
trans_36 = _standard.trans_36

_DEFAULT: str | None = _patch.hmac_default if _patch.is_patched() else "sha256"
"""The digest that two arguments mean; None refuses them, as the standard module does."""


def digest(key: Any, msg: Any, digest: Any) -> bytes:
    """The digest of ``msg`` under ``key``: quicker than :func:`new` when there is only one message.

    Arguments and exceptions are those of :func:`new`; the digest must be named.
    """
    return hmac_digest(key, msg, digest)


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

del TYPE_CHECKING, _patch, annotations  # No names of the standard module.
