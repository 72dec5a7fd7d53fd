#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# CPython 3.14 and 3.15 with their test packages, which most systems do not have yet: a small Debian sid in a folder
# outside the clone, made once a machine (one or two minutes, 700 MB, root), and used by every clone on it.
# tests/cross/interpreters.py finds them.
# usage: ci/newer_pythons.sh       makes them where they are missing, and prints one line for each
# CARRICK_NEWER_PYTHONS names the folder, /var/cache/carrick-pythons if not set. Where they cannot be made (no root, no
# debootstrap, no network), one line says so, and the exit code is 0: all that uses them does without.
#
# FOLDER/bin/python3.14 and python3.15 are scripts. Each makes a mount namespace of its own, binds this machine's
# folders (all but /usr and /etc) into the tree, and becomes the interpreter inside, with the
# same pid and under the same paths; there sys.executable is /usr/bin/python3.1X. The mounts exist in that namespace only
# and end with its last process, however that ends: nothing is mounted on the machine itself at any instant, so there is
# nothing to unmount, any number of them can run at once, and the clone or the tree may be removed at any time.
set -euo pipefail
home=$(cd "$(dirname "$0")/.." && pwd)
dir=${CARRICK_NEWER_PYTHONS:-/var/cache/carrick-pythons}
versions="3.14 3.15"

skip() {
    echo "newer pythons: tests of 3.14 and 3.15 are left out: $*"
    exit 0
}
case $dir in
/*) ;;
*) skip "CARRICK_NEWER_PYTHONS is '$dir': give an absolute path" ;;
esac
case $dir/ in
"$home"/*) skip "'$dir' is in the clone: give a folder outside" ;;
esac
case $home/ in
/usr/* | /etc/*) skip "a clone below /usr or /etc cannot be seen from the tree" ;;
esac
[ "$(id -u)" = 0 ] || skip "they are made, and entered, by root only"
unshare --mount true 2> /dev/null || skip "this machine allows no mount namespaces (unshare --mount)"
mkdir -p "$dir/bin" 2> /dev/null || skip "cannot write to $dir"

# One at a time; whoever comes second finds the work done. The lock ends with its holder.
exec 9> "$dir/lock"
flock 9
packages=ca-certificates
for version in $versions; do
    packages=$packages,python$version,python$version-venv,libpython$version-testsuite
done
if [ "$(cat "$dir/complete" 2> /dev/null)" != "$packages" ]; then
    if ! command -v debootstrap > /dev/null; then
        command -v apt-get > /dev/null || skip "no debootstrap here"
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -yq debootstrap; } > "$dir/log" 2>&1 ||
            skip "debootstrap cannot be installed, $dir/log says why"
    fi
    # Debian's own systems know the nearest mirror; elsewhere debootstrap has one of its own.
    mirror=()
    if grep -qx 'ID=debian' /etc/os-release 2> /dev/null; then
        near=$({ sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/*.sources
            sed -n 's/^deb \(\[[^]]*\] \)\?\(http[^ ]*\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list
        } 2> /dev/null | head -1) || true
        mirror=(${near:+"$near"})
    fi
    rm -f "$dir/complete"
    rm -rf --one-file-system "$dir/root"
    # In a namespace, too: debootstrap mounts /proc in the tree, and may be killed.
    unshare --mount --propagation private \
        debootstrap --variant=minbase --include="$packages" sid "$dir/root" ${mirror[@]+"${mirror[@]}"} > "$dir/log" 2>&1 9>&- ||
        skip "debootstrap failed, $dir/log says why: $(tail -1 "$dir/log")"
    rm -rf "$dir"/root/var/cache/apt/archives/*.deb
    echo "$packages" > "$dir/complete"
fi

# Written anew each time, as a rename: another run may be reading the one before.
write() {
    cat > "$1.new"
    chmod +x "$1.new"
    mv "$1.new" "$1"
}
write "$dir/bin/enter" << 'ENTER'
#!/bin/sh
# enter ROOT PYTHON ARGUMENT...: in a mount namespace of its own, become that interpreter inside ROOT.
root=$1 python=$2
shift 2
for folder in /*; do
    case $folder in
    /usr | /bin | /sbin | /lib* | /etc | /boot | /lost+found) continue ;;
    esac
    [ -d "$folder" ] && [ ! -L "$folder" ] || continue
    mkdir -p "$root$folder" && mount --rbind "$folder" "$root$folder" || exit 125
done
for file in /etc/hosts /etc/resolv.conf; do
    [ ! -f "$file" ] || { : >> "$root$file" && mount --bind "$file" "$root$file"; } || exit 125
done
exec chroot "$root" /usr/bin/env --chdir="$PWD" "$python" "$@"
ENTER
for version in $versions; do
    printf '#!/bin/sh\nexec unshare --mount --propagation private "%s/bin/enter" "%s/root" /usr/bin/python%s "$@"\n' \
        "$dir" "$dir" "$version" | write "$dir/bin/python$version"
    found=$("$dir/bin/python$version" -c 'import sys; print(sys.version.split()[0])') ||
        skip "$dir/bin/python$version does not start"
    echo "newer pythons: $dir/bin/python$version is $found"
done
