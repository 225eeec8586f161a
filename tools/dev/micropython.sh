#!/bin/sh
# Puts MicroPython into DIR, for the tests: Debian trixie's own package with the libraries it needs and libsodium, taken
# from the mirror that this machine's apt already uses, checked by apt's keys, unpacked and never installed. Needs no
# root and touches nothing outside DIR. Gives DIR/micropython, which runs through trixie's own loader and tells the
# crypto layer where its libsodium is (WAYPOST_LIBSODIUM). Does nothing when DIR/micropython already works.
#
#   tools/dev/micropython.sh DIR
#   WAYPOST_DEBIAN_MIRROR=URL tools/dev/micropython.sh DIR     where apt's sources name no Debian archive
set -eu

SUITE=trixie

fail() {
    echo "micropython.sh: $*" >&2
    exit 1
}

[ $# -eq 1 ] || fail "one argument is needed: the directory to fill, for example .mp"
for tool in apt-get dpkg dpkg-deb awk; do
    command -v "$tool" >/dev/null || fail "$tool is missing; this needs Debian or a relative of it"
done

works() {
    [ -x "$1/micropython" ] && [ "$("$1/micropython" -c 'import ffi, asyncio; print(6 * 7)' 2>/dev/null)" = 42 ]
}

mkdir -p "$1" || fail "can't make $1"
dir=$(cd "$1" && pwd)
if works "$dir"; then
    exit 0
fi

work=$dir/new
rm -rf "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/empty" "$work/root"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# --- where Debian is: the first source of this machine that carries a Debian release, its suite replaced
names=$( (. /etc/os-release && case $ID in debian | raspbian) echo "${VERSION_CODENAME:-}" ;; esac) 2>/dev/null || true)
names="$names bookworm trixie forky duke sid stable oldstable testing unstable"

one_line() {  # deb [options] uri suite components...
    awk -v names="$names" -v suite="$SUITE" '
        BEGIN { n = split(names, list, " "); for (i = 1; i <= n; i++) known[list[i]] = 1 }
        $1 == "deb" {
            line = $0
            sub(/[ \t]*#.*/, "", line)
            sub(/^[ \t]*deb[ \t]+/, "", line)
            options = ""
            if (match(line, /^\[[^]]*\][ \t]*/)) {
                options = substr(line, 1, RLENGTH) " "
                line = substr(line, RLENGTH + 1)
            }
            split(line, word, /[ \t]+/)
            if (word[1] !~ /^cdrom:/ && (word[2] in known) && line ~ /[ \t]main([ \t]|$)/) {
                print "deb " options word[1] " " suite " main"
                exit
            }
        }' "$1"
}

deb822() {  # stanzas; all fields are kept but for the four that say what is wanted
    awk -v names="$names" -v suite="$SUITE" '
        BEGIN { RS = ""; FS = "\n"; n = split(names, list, " "); for (i = 1; i <= n; i++) known[list[i]] = 1 }
        {
            out = ""; good = 0; deb = 0; main = 0; off = 0; skip = 0
            for (i = 1; i <= NF; i++) {
                if ($i ~ /^#/) continue
                if ($i ~ /^[^ \t]/) {
                    field = tolower($i)
                    sub(/[ \t]*:.*/, "", field)
                    skip = field == "types" || field == "suites" || field == "components" || field == "architectures"
                }
                text = $i
                sub(/^[^ \t:]+:/, "", text)
                if (!skip) out = out $i "\n"
                n = split(text, word, /[ \t]+/)
                for (j = 1; j <= n; j++) {
                    if (field == "suites" && (word[j] in known)) good = 1
                    if (field == "types" && word[j] == "deb") deb = 1
                    if (field == "components" && word[j] == "main") main = 1
                    if (field == "enabled" && tolower(word[j]) ~ /^(no|false|0|off)$/) off = 1
                }
            }
            if (good && deb && main && !off) {
                printf "Types: deb\nSuites: %s\nComponents: main\n%s", suite, out
                exit
            }
        }' "$1"
}

sources=
if [ -n "${WAYPOST_DEBIAN_MIRROR:-}" ]; then
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    if [ -e "$keys" ]; then
        echo "deb [signed-by=$keys] $WAYPOST_DEBIAN_MIRROR $SUITE main" >"$work/debian.list"
    else
        echo "deb $WAYPOST_DEBIAN_MIRROR $SUITE main" >"$work/debian.list"
    fi
    sources=$work/debian.list
else
    etc=${WAYPOST_APT_DIR:-/etc/apt}
    for file in "$etc"/sources.list "$etc"/sources.list.d/*.list "$etc"/sources.list.d/*.sources; do
        [ -r "$file" ] || continue
        case $file in
        *.sources) found=$work/debian.sources && deb822 "$file" >"$found" ;;
        *) found=$work/debian.list && one_line "$file" >"$found" ;;
        esac
        if [ -s "$found" ]; then
            sources=$found
            break
        fi
        rm -f "$found"
    done
fi
[ -n "$sources" ] || fail "no Debian archive among this machine's apt sources; name one in WAYPOST_DEBIAN_MIRROR"

# --- a private apt: its own lists, cache and an empty list of installed packages; proxies and keys stay the machine's
: >"$work/status"
cat >"$work/apt.conf" <<END
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
APT::Architecture "$(dpkg --print-architecture)";
APT::Architectures "$(dpkg --print-architecture)";
APT::Default-Release "";
APT::Install-Recommends "false";
APT::Sandbox::User "$(id -un)";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::Retries "3";
Debug::NoLocking "true";
Dir::Cache "$work/cache";
Dir::Cache::archives "$work/cache/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::preferences "$work/none";
Dir::Etc::preferencesparts "$work/empty";
Dir::Etc::sourcelist "$work/none";
Dir::Etc::sourceparts "$work/parts";
Dir::Log "$work";
Dir::State "$work";
Dir::State::lists "$work/lists";
Dir::State::status "$work/status";
END
mkdir "$work/parts"
mv "$sources" "$work/parts/"

log=$work/log
if ! apt-get -c "$work/apt.conf" -q update >"$log" 2>&1 || grep -q '^[EW]: ' "$log"; then
    tail -n 15 "$log" >&2
    fail "apt could not fetch the package lists of $SUITE (see above); is the network there?"
fi
# the loader and the C library come along as dependencies, because nothing counts as installed
if ! apt-get -c "$work/apt.conf" -q -y --download-only install micropython libsodium23 >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    fail "apt could not download MicroPython from $SUITE (see above)"
fi

for package in "$work"/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$work/root" || fail "can't unpack $package"
done
rm -rf "$work/root/usr/share" "$work/root/etc"

# --- the wrapper
sodium=$(cd "$work/root" && find . -name 'libsodium.so.23*' | sort | head -n 1)
loader=$(cd "$work/root" && find . -name 'ld-linux*.so.*' -type f | sort | head -n 1)
[ -n "$sodium" ] && [ -n "$loader" ] || fail "the packages hold no libsodium or no loader: Debian has changed them"
libraries=${sodium%/*}
loader_dir=${loader%/*}
cat >"$work/micropython" <<END
#!/bin/sh
# written by tools/dev/micropython.sh
case \$0 in */*) here=\${0%/*} ;; *) here=\$(dirname "\$(command -v "\$0")") ;; esac
here=\$(cd "\$here" && pwd) || exit 1
export WAYPOST_LIBSODIUM="\${WAYPOST_LIBSODIUM-\$here/root/${sodium#./}}"
exec "\$here/root/${loader#./}" --library-path "\$here/root/${libraries#./}:\$here/root/${loader_dir#./}" \\
    "\$here/root/usr/bin/micropython" "\$@"
END
chmod +x "$work/micropython"

rm -rf "$dir/root" "$dir/micropython"
mv "$work/root" "$dir/root"
mv "$work/micropython" "$dir/micropython"
if ! works "$dir"; then
    "$dir/micropython" -c 'import ffi, asyncio; print("it runs")' >&2 || true
    fail "the unpacked MicroPython does not run here"
fi
