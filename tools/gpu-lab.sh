#!/usr/bin/env bash
# Compiles every kernel with the compilers of GPUs that are not here: Mesa's drivers start without hardware, and nothing
# executes. It shows registers, spills and subgroups side by side, and no speed.
# usage: tools/gpu-lab.sh           every target, with a newer Mesa in .build/drivers; writes docs/kernels.md
#        tools/gpu-lab.sh --check   the AMD targets of the installed Mesa; fails if a kernel is unfit (part of CI)
set -euo pipefail
cd "$(dirname "$0")/.."

recipes=(recipes/fashion-{vmoe,nac}.yml recipes/vmoe-base-imagenet.yml recipes/nac-few-shot-cub.yml)
installed=(gfx1100 navi21 navi10 vega20 renoir polaris10)
newer=(nvidia-162 nvidia-172 nvidia-192 amd-navi31 amd-gfx1201 adreno-730 adreno-750 apple-m1)
sid=$PWD/.build/drivers/sid

# usage: kernels TARGET OPTION...   `graft kernels` in a process of its own: a compiler may abort.
kernels() (
  target=$1
  shift
  # What a disk cache returns may lack the statistics.
  export MESA_SHADER_CACHE_DISABLE=true
  folder=$sid/root/usr/share/vulkan/icd.d
  run=("$sid/run")
  case $target in
    nvidia-*)
      export VK_ICD_FILENAMES=$folder/nouveau_icd.json PRELOAD=libnouveau_noop_drm_shim.so
      export NOUVEAU_CHIPSET=${target#nvidia-} NVK_I_WANT_A_BROKEN_VULKAN_DRIVER=1
      # The shim sets it; where it is new, that moves the environment and Swift loses the arguments.
      export NOUVEAU_DISABLE_FENCES=1
      ;;
    amd-*)
      export VK_ICD_FILENAMES=$folder/radeon_icd.json PRELOAD=libamdgpu_noop_drm_shim.so AMDGPU_GPU_ID=${target#amd-}
      ;;
    adreno-*)
      export VK_ICD_FILENAMES=$folder/freedreno_icd.json PRELOAD=libfreedreno_noop_drm_shim.so
      export FD_GPU_ID=${target#adreno-}
      # Its buffers end at 128 MiB; the tensors of the other recipes do not.
      recipes=(recipes/fashion-{vmoe,nac}.yml)
      ;;
    apple-*) export VK_ICD_FILENAMES=$folder/asahi_icd.json PRELOAD=libasahi_noop_drm_shim.so ;;
    *)
      VK_ICD_FILENAMES=$(echo /usr/share/vulkan/icd.d/radeon_icd.*.json)
      export VK_ICD_FILENAMES RADV_FORCE_FAMILY=$target
      run=()
      ;;
  esac
  "${run[@]}" .build/release/graft kernels "$@" "${recipes[@]}"
)

# Two targets at a time; a failure of any is a failure of all.
check() {
  local failed=0 running=()
  for target in "$@"; do
    kernels "$target" --check &
    running+=($!)
    if [[ ${#running[@]} -eq 2 ]]; then
      wait "${running[0]}" || failed=1
      running=("${running[@]:1}")
    fi
  done
  for process in "${running[@]}"; do wait "$process" || failed=1; done
  return "$failed"
}

case "${1-}" in
  --check)
    check "${installed[@]}"
    exit
    ;;
  "") ;;
  *)
    echo "gpu-lab.sh: unknown option $1; usage: tools/gpu-lab.sh [--check]" >&2
    exit 64
    ;;
esac

tools/debian-suite.sh "$sid" sid mesa-vulkan-drivers libvulkan1 mesa-drm-shim vulkan-validationlayers
"${SWIFT:-swift}" build -c release --product graft
text=$(sed '/^## /,$d' docs/kernels.md)
for target in "${installed[@]}" "${newer[@]}"; do
  echo "gpu-lab: $target"
  # Standard error is left to this terminal: a fault ends the script with its line.
  text+=$(printf '\n\n## %s\n\n' "$target" && kernels "$target" --stats --worst --check --precision mixed)
done
printf '%s\n' "$text" >docs/kernels.md
