#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The C tests under ASan with UBSan, under TSan and under valgrind.
# usage: ci/c_sanitize.sh [asan] [tsan] [valgrind]    without a word: all of them
# gcc instruments the tests, not the Rust library. This shows leaks and double frees of what crosses the face (the
# library allocates with malloc, which the sanitizers watch), the library's use of the tests' memory through the C
# library's calls, and races between the tests' own threads. valgrind sees every instruction, the library's too.
set -euo pipefail
cd "$(dirname "$0")/.."
words=("$@")
[ ${#words[@]} -gt 0 ] || words=(asan tsan valgrind)
# One kind of library is enough here; the static one gives the better stacks.
export CARRICK_LINKING=static CARRICK_CC=${CARRICK_CC:-gcc} CARRICK_TEST_SECONDS=240
for word in "${words[@]}"; do
    echo "==== $word"
    export CARRICK_BUILD=build/c-$word
    case $word in
        asan)
            # The sanitizers' own locks may be found held by a child of a fork beside threads, which is what forks.c tests.
            export CARRICK_WITHOUT=forks
            CARRICK_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer" \
                ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 ci/c_tests.sh
            ;;
        tsan)
            export CARRICK_WITHOUT=forks
            # The shared library, which the suppressions can name. The panics are one thread's: nothing for TSan.
            CARRICK_LINKING=shared CARRICK_PANICS=no CARRICK_CFLAGS="-fsanitize=thread" \
                TSAN_OPTIONS="halt_on_error=1 die_after_fork=0 allocator_may_return_null=1 suppressions=$PWD/ci/c_tsan.supp" ci/c_tests.sh
            ;;
        valgrind)
            if ! command -v valgrind > /dev/null; then
                echo "c_sanitize: valgrind is missing: install it with: apt-get install valgrind" >&2
                exit 1
            fi
            # Every kind of leak counts, what is still reachable too: the library has no tables that outlive their use.
            # valgrind up to 3.19 does not know the system call pidfd_open: what the library does without is tested here.
            watch="valgrind --quiet --error-exitcode=99 --trace-children=no --fair-sched=yes --suppressions=$PWD/ci/c_valgrind.supp"
            export CARRICK_UNDER_VALGRIND=1 CARRICK_WITHOUT=process
            CARRICK_RUN="$watch --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=all" ci/c_tests.sh
            # To a child, whose exit code matters here, all that its parent has is a leak; ASan has looked for the parent's.
            CARRICK_WITHOUT='' CARRICK_PROGRAMS=process CARRICK_PANICS=no CARRICK_RUN=$watch ci/c_tests.sh
            ;;
        *)
            echo "usage: ci/c_sanitize.sh [asan] [tsan] [valgrind]" >&2
            exit 2
            ;;
    esac
done
