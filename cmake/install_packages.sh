#!/usr/bin/env bash
# Installs what is missing of the packages in packages.txt, and of those named as arguments.
#
#     cmake/install_packages.sh [--no-install] [PACKAGE...]
#
# --no-install: names what is missing and fails instead.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
install=yes
packages=()
for argument in "$@"; do
  case $argument in
    --no-install) install=no ;;
    -*) echo "install_packages.sh: unknown option $argument" >&2; exit 2 ;;
    *) packages+=("$argument") ;;
  esac
done
while read -r package _; do
  [[ -z $package || $package == \#* ]] || packages+=("$package")
done < "$here/packages.txt"

if ! command -v dpkg-query > /dev/null; then
  echo "This is no Debian system, so nothing is checked or installed. Needed are what Debian calls:"
  echo "  ${packages[*]}"
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2> /dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
(( ${#missing[@]} > 0 )) || exit 0

if [[ $install == no ]]; then
  {
    echo "These Debian packages are missing, and --no-install asks to install nothing:"
    echo "  ${missing[*]}"
    echo "Install them with: apt-get install ${missing[*]}"
  } >&2
  exit 1
fi

as_root=()
if (( EUID != 0 )); then
  if ! command -v sudo > /dev/null; then
    {
      echo "These Debian packages are missing; installing them needs root, and there is no sudo:"
      echo "  ${missing[*]}"
    } >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "== installing ${missing[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -q -y --no-install-recommends "${missing[@]}"
