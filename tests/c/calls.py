# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes C tests that call every function of include/carrick.h, from the header itself.

calls.py null HEADER: each pointer parameter alone is NULL, the others are valid: E_NULL and nothing else; each
handle parameter alone is a live handle of another type: E_INVALID.
calls.py names HEADER: the names of the functions, one a line.
calls.py panic HEADER: each function panics inside: E_PANIC, and the handle it was on can only be closed and freed.

A function that appears in the header is tested from that day on; one with a parameter that is not known here
makes this program fail, so nobody forgets it.
"""

import re
import sys
from pathlib import Path

PROTOTYPE = re.compile(r"^(?P<type>[\w\s\*]+?)(?P<name>carrick_\w+)\((?P<args>[^;]*)\);", re.M)
HANDLES = [
    "stream",
    "connection",
    "listener",
    "datagram",
    "poller",
    "mac",
    "gate",
    "queue",
    "lock",
    "semaphore",
    "condition",
    "event",
    "barrier",
    "process",
    "fork_server",
    "server",
    "request",
    "session",
]
LENT = ("request", "session")

# Values of parameters by name; a name alone is the rule, function.name the exception.
VALUES = {
    "address": '"127.0.0.1:0"', "address_len": "11", "name": '"sha256"', "name_len": "6",
    "peer": '"127.0.0.1:0"', "peer_len": "11",
    "carrick_stream_connect.address": "s->where", "carrick_stream_connect.address_len": "s->where_len",
    "carrick_connection_connect.address": "s->where", "carrick_connection_connect.address_len": "s->where_len",
    "carrick_datagram_send_to.address": '"127.0.0.1:9"',
    "key": '(const uint8_t *)"key"', "key_len": "3", "message": '(const uint8_t *)"message"', "message_len": "7",
    "data": '(const uint8_t *)"data"', "data_len": "4", "left": '(const uint8_t *)"left"', "left_len": "4",
    "right": '(const uint8_t *)"right"', "right_len": "5", "parts": "s->parts", "parts_len": "1",
    "digest": "CARRICK_DIGEST_SHA256", "role": "CARRICK_ROLE_CLIENT", "auth": "&s->auth", "format": "&s->format",
    "carrick_bytes_free.data": "NULL",
    "carrick_queue_new.options": "&s->queue_options", "carrick_queue_attach.fd": "0", "bell_fd": "-1",
    "carrick_lock_new.options": "&s->lock_options", "carrick_lock_attach.options": "&s->lock_options", "slot": "0",
    "carrick_queue_create.options": "&s->queue_options", "carrick_lock_create.options": "&s->lock_options",
    "max_value": "5", "carrick_semaphore_new.value": "1", "carrick_semaphore_create.value": "1", "count": "1", "parties": "2",
    "carrick_listener_bind.options": "&s->listen", "carrick_gate_new.options": "&s->auth",
    "carrick_stream_server_bind.options": "&s->stream_server",
    "carrick_message_server_bind.options": "&s->message_server",
    "carrick_stream_server_bind.handler": "stream_handler",
    "carrick_message_server_bind.handler": "message_handler",
    "carrick_datagram_server_bind.handler": "datagram_handler",
    "function": "process_function", "reader": "item_reader", "each": "item_reader", "max_items": "1",
    "items": "s->parts", "items_len": "1", "argument": '(const uint8_t *)"data"', "argument_len": "4",
    "arguments": "s->arguments", "signal": "0", "carrick_process_start.options": "&s->process_options",
    "carrick_process_spawn.options": "&s->process_options",
    "user_data": "NULL", "drop_user_data": "NULL", "timeout_ns": "0", "fd": "0", "token": "1", "readiness": "1",
    "option": "CARRICK_OPTION_SEND_BUFFER", "value": "65536", "how": "CARRICK_SHUTDOWN_BOTH", "index": "0",
    "max_length": "0", "status": "0", "ready_cap": "4", "stats_cap": "CARRICK_STATS_COUNT", "buffer_cap": "512",
    "address_cap": "512",
}  # fmt: skip
# "may be NULL" in the header.
NULLABLE = {
    "carrick_connection_connect.format", "carrick_connection_connect.auth", "carrick_connection_new.format",
    "carrick_queue_create.options", "carrick_lock_create.options",
    "carrick_queue_new.options", "carrick_lock_new.options", "carrick_lock_attach.options", "carrick_listener_bind.options", "carrick_stream_server_bind.options", "carrick_message_server_bind.options",
    "carrick_process_start.options", "carrick_process_spawn.options",
    "user_data", "drop_user_data",
}  # fmt: skip
# The calls that a poisoned handle allows: closing it, and ending what it serves.
ON_POISONED = re.compile(r"_close$|^carrick_server_(abort|request_shutdown)$")


class Function:
    """A prototype of the header."""

    def __init__(self, kind, name, args):
        self.kind, self.name = kind, name
        self.params = []
        for arg in () if args in ("", "void") else args.split(","):
            match = re.fullmatch(r"\s*(.*?[\s\*])(\w+)\s*", arg, re.S)
            type_ = " ".join(match[1].replace("struct ", "").split()).replace(" *", "*")
            self.params.append((type_, match[2]))

    def handle(self):
        """The handle type that the function is on, if it is on one."""
        if not self.params:
            return None
        match = re.fullmatch(r"(?:const )?carrick_(\w+)\*", self.params[0][0])
        return match[1] if match and match[1] in HANDLES and self.params[0][1] == match[1] else None

    def value(self, index):
        """A valid value for a parameter."""
        type_, name = self.params[index]
        match = re.fullmatch(r"(?:const )?carrick_(\w+)\*", type_)
        if match and match[1] in HANDLES and name == match[1]:
            return f"s->{name}"
        for key in (f"{self.name}.{name}", name):
            if key in VALUES:
                return VALUES[key]
        if type_.endswith("*") and (name.startswith("out_") or not type_.startswith("const")):
            return f"(void *)s->room[{index}]"
        sys.exit(f"calls.py knows no value for {type_} {name} of {self.name}: add it to VALUES")

    def call(self, **changed):
        """The call with valid values, less the changed ones, by index as i0, i1, ..."""
        values = [changed.get(f"i{i}", self.value(i)) for i in range(len(self.params))]
        return f"{self.name}({', '.join(values)})"

    def pointers(self):
        """The parameters that are pointers and must not be NULL, by index."""
        for i, (type_, name) in enumerate(self.params):
            pointer = type_.endswith("*") or type_.endswith("_fn")
            if pointer and name not in NULLABLE and f"{self.name}.{name}" not in NULLABLE:
                yield i


def functions(header):
    """The functions of the header."""
    code = re.sub(r"/\*.*?\*/", "", Path(header).read_text(), flags=re.S)
    code = "\n".join(line for line in code.splitlines() if not line.startswith("#"))
    found = [Function(m["type"].strip(), m["name"], m["args"].strip()) for m in PROTOTYPE.finditer(code)]
    found = [one for one in found if not one.kind.startswith("typedef")]
    if len(found) < 60:
        sys.exit(f"only {len(found)} functions found in {header}: the pattern no longer fits the header")
    return found


def place(function):
    """Where a function can be called: in a handler, or anywhere."""
    return function.handle() if function.handle() in LENT else "anywhere"


def write_null(found):
    """One check per pointer, and per handle of a wrong type."""
    count = 0
    for where in ("anywhere", *LENT):
        print(f"static void null_{where}(struct subjects *s)\n{{")
        for one in found:
            if place(one) != where or one.kind != "carrick_status":
                continue
            for i in one.pointers():
                print(f"    STATUS(CARRICK_E_NULL, {one.call(**{f'i{i}': 'NULL'})});")
                count += 1
            for i, (_, name) in enumerate(one.params):
                if one.value(i) == f"s->{name}" and name in HANDLES:
                    other = "mac" if name != "mac" else "poller"
                    print(f"    STATUS(CARRICK_E_INVALID, {one.call(**{f'i{i}': f'(void *)s->{other}'})});")
                    count += 1
        print("}\n")
    print(
        "static void each_pointer_alone_is_checked(void)\n{\n    static struct subjects s;\n    make_subjects(&s);"
    )
    print(
        "    null_anywhere(&s);\n    inside_request(&s, null_request);\n    inside_session(&s, null_session);"
    )
    print("    free_subjects(&s);\n}\n")
    print("static void free_of_null_or_of_another_type_does_nothing(void)\n{\n    static struct subjects s;")
    print("    make_subjects(&s);")
    for one in found:
        if one.name.endswith("_free") and one.handle():
            print(f"    {one.name}(NULL);")
            print(f"    {one.name}((void *)s.{'mac' if one.handle() != 'mac' else 'poller'});")
    print("    free_subjects(&s);\n}\n")
    return ["each_pointer_alone_is_checked", "free_of_null_or_of_another_type_does_nothing"], count


def write_panic(found):
    """One function per export."""
    print("void carrick_test_panic_next(void);\nint32_t carrick_test_panic_is_armed(void);\n")
    names = []
    for one in found:
        if (
            (not one.params and one.kind != "void")
            or one.kind in ("int32_t", "uint32_t")
            or "char" in one.kind
        ):
            continue  # They return constants or a number and cannot fail.
        names.append(one.name)
        print(f"static void panic_{one.name}(struct subjects *s)\n{{\n    (void)s;")
        if one.handle() in ("process", "fork_server"):
            print(f"    if (s->{one.handle()} == NULL)\n        return; /* There are none under valgrind. */")
        print("    carrick_test_panic_next();")
        if one.kind == "void":
            print(f"    {one.call() if one.handle() is None else one.name + '(s->' + one.handle() + ')'};")
            if one.handle():
                # The panic came before anything was freed; it can be done again.
                print(f"    {one.name}(s->{one.handle()});\n    s->{one.handle()} = NULL;")
        else:
            print(f"    STATUS(CARRICK_E_PANIC, {one.call()});")
            if one.handle() and not ON_POISONED.search(one.name):
                print(f"    STATUS(CARRICK_E_PANIC, {one.call()});")
            if one.handle() in ("stream", "connection", "listener", "datagram"):
                print(f"    OK(carrick_{one.handle()}_close(s->{one.handle()}));")
            if one.handle() == "server":
                print(
                    "    OK(carrick_server_request_shutdown(s->server));\n    OK(carrick_server_abort(s->server));"
                )
        print("    CHECK(carrick_test_panic_is_armed() == 0);\n}\n")
    print("static void every_export_survives_a_panic_and_its_handle_can_be_closed_and_freed(void)\n{")
    print("    static struct subjects s;")
    by_name = {one.name: one for one in found}
    for name in names:
        where = place(by_name[name])
        print("    make_subjects(&s);")
        print(f"    panic_{name}(&s);" if where == "anywhere" else f"    inside_{where}(&s, panic_{name});")
        print("    free_subjects(&s);")
    print("}\n")
    return ["every_export_survives_a_panic_and_its_handle_can_be_closed_and_freed"], len(names)


def main():
    """Write the program that the command line asks for."""
    mode, header = sys.argv[1:]
    found = functions(header)
    if mode == "names":
        print("\n".join(sorted(one.name for one in found)))
        return
    print('/* Written by tests/c/calls.py. */\n#include "subjects.h"\n')
    tests, count = {"null": write_null, "panic": write_panic}[mode](found)
    print("int main(int argc, char **argv)\n{\n    static const struct test tests[] = {")
    for test in tests:
        print(f'        {{"{test}", {test}}},')
    print(f'    }};\n    printf("{count} calls of {len(found)} functions\\n");')
    print("    return run_tests(tests, sizeof tests / sizeof tests[0], argc, argv);\n}")


if __name__ == "__main__":
    main()
