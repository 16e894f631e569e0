#!/usr/bin/env bash
# Installs the Debian packages that Graft builds and runs with; does nothing when all are there.
# usage: tools/setup.sh [--bench]     --bench adds what the comparison benchmarks need
set -euo pipefail

packages=(
  libvulkan-dev                             # headers and loader
  libshaderc-dev glslang-dev spirv-tools    # shadergen links their static archives
  zlib1g-dev                                # IDX datasets, .npz, checkpoints
  libturbojpeg0-dev libspng-dev             # images in files
  mesa-vulkan-drivers                       # lavapipe: a Vulkan device on any machine
  vulkan-validationlayers                   # the tests run under them
  dataset-fashion-mnist                     # the demo's images
  pkg-config make
)

case "${1-}" in
  "") ;;
  --bench) packages+=(libopenblas0) ;;
  *)
    echo "setup.sh: unknown option $1; usage: tools/setup.sh [--bench]" >&2
    exit 64
    ;;
esac

# dpkg-query fails when it has never heard of a package; what it prints about the others is still right.
installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
  grep -qx "installed $package" <<<"$installed" || missing+=("$package")
done
if [[ ${#missing[@]} -eq 0 ]]; then exit 0; fi

sudo=()
if [[ $EUID -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "setup.sh: not root and no sudo; as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  sudo=(sudo)
fi
echo "setup: installing ${missing[*]}"
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${missing[@]}"
