#!/usr/bin/env bash
# Unpack newer interpreters than this Debian has, from its testing suite, into a folder of their own.
# They bring the C library that they need, by which they are started; no package of the machine changes
# but patchelf, which is installed. Where one cannot be had it says so, goes on with the others and ends
# with 77. SUITE names another suite than forky.
# usage: new_pythons.sh FOLDER VERSION... ; then PATH="$PATH:FOLDER/usr/bin"
set -euo pipefail

without() { printf 'no Python %s: %s\n' "$1" "$2" >&2; }

(($# >= 2)) || { printf 'usage: new_pythons.sh FOLDER VERSION...\n' >&2; exit 2; }
folder=$(realpath -m "$1")
shift
cannot() { without "$versions" "$*"; exit 77; }
versions=$*
command -v apt-get >/dev/null || cannot "apt-get is missing"
((EUID == 0)) || cannot "apt-get wants root"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[[ -r $keys ]] || cannot "this is no Debian: $keys is missing"
{ apt-get update -qq && apt-get install -y -qq patchelf; } >/dev/null || cannot "apt-get cannot install patchelf"
# The mirror that the machine uses.
# shellcheck disable=SC2016 # $(REPO_URI) is apt's
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | awk '/\/debian\/?$/ && !seen++')
[[ $mirror ]] || cannot "apt names no mirror of Debian"

apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt"/{lists,archives}/partial "$folder"
printf 'deb [signed-by=%s] %s %s main\n' "$keys" "$mirror" "${SUITE:-forky}" >"$apt/sources.list"
: >"$apt/status" # as if nothing were installed: the C library comes along
aside=(
    -qq -y -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=-
    -o "Dir::State::Lists=$apt/lists" -o "Dir::State::Status=$apt/status" -o "Dir::Cache=$apt"
    -o APT::Sandbox::User=root -o Acquire::Languages=none
)
apt-get "${aside[@]}" update || cannot "$mirror has no ${SUITE:-forky}"
for version; do
    # libstdc++6 is for wheels with C++ in them. A plain name that apt does not know is a pattern for it.
    apt-get "${aside[@]}" --no-install-recommends --download-only install libstdc++6 "?exact-name(python$version)" \
        >/dev/null || true
done
for package in "$apt"/archives/*.deb; do [[ -e $package ]] && dpkg-deb -x "$package" "$folder"; done

libraries=("$folder"/usr/lib/*-linux-gnu*)
loaders=("${libraries[0]}"/ld-linux*.so.*)
status=0
for version; do
    python=$folder/usr/bin/python$version
    [[ -e $python ]] || { without "$version" "${SUITE:-forky} of $mirror does not give it"; status=77; continue; }
    patchelf --set-interpreter "${loaders[0]}" --force-rpath --set-rpath "${libraries[0]}" "$python"
    "$python" -c 'import ssl, sqlite3, zlib' || { without "$version" "it does not start"; rm "$python"; status=77; }
done
exit "$status"
