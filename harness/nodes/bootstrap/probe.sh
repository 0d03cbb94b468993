# Prints the properties of this machine, one on each line: a key, a space, and the value.
# The arguments are names of Python distributions. The script prints their versions.
# A POSIX shell runs this script. It needs no other programs than those of FreeBSD's base.
unset PYTHONPATH PYTHONHOME
PATH="$PATH:/usr/sbin:/sbin:/usr/local/bin:/usr/local/sbin:$HOME/.local/bin"
export PATH
cd / || exit 1

has() { command -v "$1" >/dev/null 2>&1; }
quiet() { "$@" </dev/null >/dev/null 2>&1; }

# How this user becomes root without a password.
root() {
    if test "$(id -u)" = 0; then echo root
    elif has doas && quiet doas -n true; then echo doas
    elif has sudo && quiet sudo -n true; then echo sudo
    elif has su && quiet su -m root -c true; then echo su
    else echo none; fi
}

# Prints the names and the URLs of the enabled repositories in a configuration of pkg. A later entry
# with the same name adds to an earlier one.
repositories() {
    awk '
        /^[ \t]*#/ { next }
        /^[ \t]*[A-Za-z0-9._-]+[ \t]*:[ \t]*\{/ { name = $1; sub(/:.*/, "", name); on[name] = 1 }
        match($0, /[Uu][Rr][Ll][ \t]*:[ \t]*"[^"]*"/) {
            url[name] = substr($0, RSTART, RLENGTH)
            gsub(/^[^"]*"|"$/, "", url[name])
        }
        tolower($0) ~ /enabled[ \t]*:[ \t]*"?(no|false|off)/ { on[name] = 0 }
        END { for (name in url) if (on[name]) print name, url[name] }
    '
}

# The stub of pkg cannot print its configuration.
configuration() {
    if test "$1" != stub; then pkg -vv </dev/null; return; fi
    version=$(uname -r)
    minor=${version#*.}
    abi="$(uname -s):${version%%.*}:$(uname -p)"
    echo "${REPOS_DIR:-/etc/pkg,/usr/local/etc/pkg/repos}" | tr , '\n' |
        while read -r folder; do cat "$folder"/*.conf; done 2>/dev/null |
        sed -e "s|\${ABI}|$abi|g" -e "s|\${VERSION_MINOR}|${minor%%-*}|g"
}

reach() {
    if quiet fetch -q -T 10 -o /dev/null "${2#pkg+}/meta.conf"; then state=reachable
    else state=unreachable; fi
    echo "repository $state $1 $2"
}

describe_pkg() {
    has pkg || return
    found=stub
    if quiet pkg -N; then found=$(pkg -v </dev/null); fi
    echo "pkg $found"
    echo "root $(root)"
    configuration "$found" 2>/dev/null | repositories | {
        while read -r name url; do reach "$name" "$url" & done
        wait
    }
}

describe_python() {
    python=$1
    shift
    "$python" - "$(uname -s)" "$@" 2>/dev/null <<'END'
import sys
def describe():
    import importlib.metadata, importlib.util, platform, sysconfig
    version = platform.python_version()
    libc = "-".join(platform.libc_ver()) if sys.argv[1] == "Linux" else "none"
    magic = importlib.util.MAGIC_NUMBER.hex()
    print("python", version, magic, sysconfig.get_platform(), libc, sys.executable)
    try:
        import sqlite3
        print("package", version, "sqlite3", sqlite3.sqlite_version)
    except ImportError:
        pass
    for name in sys.argv[2:]:
        try:
            print("package", version, name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            pass
if sys.version_info >= (3, 11):
    describe()
else:
    print("old-python", "%d.%d" % sys.version_info[:2], sys.executable)
END
}

# The nearest parent that exists, for df.
existing() {
    place=$1
    while test -n "$place" && test ! -d "$place"; do place=${place%/*}; done
    echo "${place:-/}"
}

echo "bsdgate-probe 1"
echo "system $(uname -s)"
echo "release $(uname -r)"
echo "architecture $(uname -m)"
echo "user $(id -un)"
if test -n "$BSDGATE_CACHE_DIR"; then cache=$BSDGATE_CACHE_DIR
else cache=${XDG_CACHE_HOME:-$HOME/.cache}/bsdgate; fi
# A command of ssh begins in the home directory.
case $cache in /*) ;; *) cache=$HOME/$cache ;; esac
echo "cache $cache"
df -Pk "$(existing "$cache")" | awk 'NR == 2 { printf "disk %d\n", $4 / 1024 }'
if test -r /proc/meminfo; then awk '/^MemTotal:/ { printf "memory %d\n", $2 / 1024 }' /proc/meminfo
else sysctl -n hw.physmem 2>/dev/null | awk '{ printf "memory %d\n", $1 / 1048576 }'; fi
for each in uv git; do
    if has "$each"; then echo "command $each $(command -v "$each")"; fi
done
# The last used one first.
ls -t "$cache/node" 2>/dev/null | while read -r each; do
    if test -x "$cache/node/$each/bin/python"; then echo "environment $each"; fi
done
describe_pkg
found=
for each in python3.11 python3.12 python3.13 python3.14 python3.15; do
    if has "$each"; then describe_python "$each" "$@" && found=yes; fi
done
if test -z "$found" && has python3; then describe_python python3 "$@"; fi
echo end
