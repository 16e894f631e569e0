#!/usr/bin/env bash
# Runs the tests that need a device on every Vulkan driver that this machine can offer, and prints a row of
# docs/drivers.md for each. Drivers that are not installed are unpacked into .build/drivers; nothing is installed.
# usage: tools/test-drivers.sh [DRIVER...]     all by default; logs in .build/drivers/DRIVER.log
set -euo pipefail
cd "$(dirname "$0")/.."

all=(lavapipe lavapipe-128 lavapipe-512 lavapipe-sid lavapipe-sid-512 swiftshader)
drivers=("${@:-${all[@]}}")
folder=$PWD/.build/drivers
# What of the suite runs: everything that opens a device. CLITests start graft as a process of its own, NullTests none.
suites='^(OpTests|ModelTests|DistillationTests)\.'
mkdir -p "$folder"

"${SWIFT:-swift}" build --build-tests
tests=$(find .build/debug/ -maxdepth 1 -name '*PackageTests.xctest')

# usage: chromium   unpacks SwiftShader of the machine's own suite and names its driver file
chromium() {
  local root=$folder/swiftshader
  if [[ ! -e $root/driver.json ]]; then
    rm -rf "$root" && mkdir -p "$root"
    (cd "$root" && apt-get download -qq chromium-common && dpkg -x chromium-common_*.deb . && rm chromium-common_*.deb)
    local library
    library=$(find "$root" -name libvk_swiftshader.so)
    printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "1.3.0"}}\n' "$library" \
      >"$root/driver.json"
  fi
  echo "$root/driver.json"
}

# usage: suite DRIVER   runs the tests with that driver; their text on standard output
suite() (
  run=()
  options=()
  filter=$suites
  VK_ICD_FILENAMES=$(echo /usr/share/vulkan/icd.d/lvp_icd.*.json)
  case $1 in
    lavapipe) ;;
    lavapipe-128 | lavapipe-512) export LP_NATIVE_VECTOR_WIDTH=${1#lavapipe-} ;;
    lavapipe-sid | lavapipe-sid-512)
      # With 512 bits Mesa 26.2 overruns a thread's stack, now and then, where two threads make pipelines at once.
      if [[ $1 == lavapipe-sid-512 ]]; then
        export LP_NATIVE_VECTOR_WIDTH=512
        options=(--no-parallel)
      fi
      tools/debian-suite.sh "$folder/sid" sid mesa-vulkan-drivers libvulkan1 mesa-drm-shim vulkan-validationlayers
      # The installed layer is older than what this driver offers.
      export VK_LAYER_PATH=$folder/sid/root/usr/share/vulkan/explicit_layer.d
      VK_ICD_FILENAMES=$folder/sid/root/usr/share/vulkan/icd.d/lvp_icd.json
      run=("$folder/sid/run")
      ;;
    swiftshader)
      VK_ICD_FILENAMES=$(chromium)
      # It is ten times slower; the rest of the suite would take hours.
      filter='^OpTests\.|GoldenTests'
      ;;
    *)
      echo "test-drivers.sh: unknown driver $1; known are ${all[*]}" >&2
      exit 64
      ;;
  esac
  # Without its file the loader would take any other driver.
  if [[ ! -e $VK_ICD_FILENAMES ]]; then
    echo "test-drivers.sh: $1 has no driver file at '$VK_ICD_FILENAMES'" >&2
    exit 1
  fi
  export VK_ICD_FILENAMES MESA_SHADER_CACHE_DIR=${MESA_SHADER_CACHE_DIR-$folder/cache-$1}
  "${run[@]}" "$tests" --testing-library swift-testing "${options[@]}" --filter "$filter"
)

status=0
rows=()
for driver in "${drivers[@]}"; do
  log=$folder/$driver.log
  echo "test-drivers: $driver, see $log"
  if suite "$driver" >"$log" 2>&1; then result=passed; else result=failed && status=1; fi
  # Of the runner's lines: `SIGN Test NAME passed after ...`; the summary begins with `Test run with`.
  count() { grep -E '^[^ ]+ +Test ' "$log" | grep -v 'Test run with' | grep -cE "$1" || true; }
  # A driver that does not start skips everything.
  if [[ $(count ' passed after') -eq 0 ]]; then result=failed && status=1; fi
  rows+=("| $driver | $(count ' passed after') | $(count ' (skipped|cancelled)') | $(count ' failed after') | $result |")
done
printf '| driver | passed | skipped | failed | run |\n|---|---|---|---|---|\n'
printf '%s\n' "${rows[@]}"
exit "$status"
