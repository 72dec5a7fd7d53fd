# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard modules that the drop-ins stand on, as they were before :func:`carrick.patch`."""

import hmac
import multiprocessing
import socket
import socketserver
from multiprocessing import connection, queues

__all__ = ["connection", "hmac", "multiprocessing", "queues", "socket", "socketserver"]
