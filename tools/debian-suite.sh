#!/usr/bin/env bash
# Unpacks packages of another Debian suite, with all they depend on, into a folder; installs nothing. From the machine's
# own Debian source; does nothing where the folder already holds the same packages.
# usage: tools/debian-suite.sh FOLDER SUITE PACKAGE...     -> FOLDER/root; a program runs there with FOLDER/run PROGRAM
set -euo pipefail

if [[ $# -lt 3 ]]; then
  echo "debian-suite.sh: usage: tools/debian-suite.sh FOLDER SUITE PACKAGE..." >&2
  exit 64
fi
mkdir -p "$1"
folder=$(cd "$1" && pwd)
suite=$2
shift 2
if [[ "$(cat "$folder/packages" 2>/dev/null)" == "$suite $*" ]]; then exit 0; fi

site=$(apt-get indextargets --format '$(SITE) $(LABEL)' 'Created-By: Packages' | awk '$2 == "Debian" { print $1; exit }')
if [[ -z $site ]]; then
  echo "debian-suite.sh: apt knows no Debian source; run apt-get update, or this is no Debian" >&2
  exit 1
fi
rm -rf "$folder"
mkdir -p "$folder/lists/partial" "$folder/debs" "$folder/root"
echo "deb $site $suite main" >"$folder/suite.list"
apt=(
  apt-get "-oDir::Etc::sourcelist=$folder/suite.list" -oDir::Etc::sourceparts=/dev/null
  "-oDir::State::Lists=$folder/lists" -oDir::State::status=/dev/null -oDir::Cache::pkgcache= -oDir::Cache::srcpkgcache=
  -oAPT::Sandbox::User=
)
echo "debian-suite: fetching $* of $suite"
"${apt[@]}" update -qq
# As for an empty machine: the folder has its own C library.
mapfile -t names < <("${apt[@]}" --print-uris -y --no-install-recommends install "$@" |
  awk '/^\x27/ { sub(/_.*/, "", $2); print $2 }')
(cd "$folder/debs" && "${apt[@]}" download -qq "${names[@]}")
for package in "$folder"/debs/*.deb; do dpkg -x "$package" "$folder/root"; done
rm -rf "$folder/lists" "$folder/debs"

libraries=$(dirname "$(find "$folder/root/usr/lib" -name libvulkan.so.1 | head -1)")
# Driver files name their library without a folder.
for file in "$folder"/root/usr/share/vulkan/icd.d/*.json; do
  sed -E -i "s#\"library_path\": *\"[^\"]*/?(lib[^\"/]*)\"#\"library_path\": \"$libraries/\1\"#" "$file"
done
loader=$(find "$folder/root/" -name 'ld-linux*.so.*' | head -1)
cat >"$folder/run" <<END
#!/bin/sh
# Runs a program with the libraries of this folder; PRELOAD names one that is loaded before all others.
exec "$loader" \${PRELOAD:+--preload "$libraries/\$PRELOAD"} --library-path "$libraries" "\$@"
END
chmod +x "$folder/run"
echo "$suite $*" >"$folder/packages"
