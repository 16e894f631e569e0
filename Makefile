# One entry for a person and for CI. Needs Swift 6.3 on PATH and Debian 12, or its packages by their names elsewhere.
.DEFAULT_GOAL := help
.PHONY: help setup build test test-drivers gpu-lab demo bench bench-torch fmt lint clean

SWIFT ?= swift
SOURCES := Package.swift Sources Tests tools Shaders bench
# A software driver compiles each kernel to machine code; keeping that makes the second run of the tests much shorter.
export MESA_SHADER_CACHE_DIR ?= $(CURDIR)/.build/mesa-cache

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the system packages that are missing (apt, root)
	@tools/setup.sh

build: setup ## build the release binary, .build/release/graft
	$(SWIFT) build -c release --product graft

test: setup ## run every test (debug build, validation layers on)
	$(SWIFT) test --disable-xctest

test-drivers: setup ## run the device tests on every Vulkan driver this machine can offer
	tools/test-drivers.sh

gpu-lab: setup ## compile every kernel for GPUs that are not here; writes docs/kernels.md
	tools/gpu-lab.sh

demo: build ## train the small recipe from start to end
	.build/release/graft run recipes/fashion-vmoe.yml

bench: ## measure the device, every op, matmul beside OpenBLAS, and the demo's steps
	@tools/setup.sh --bench
	$(SWIFT) build -c release --product graft
	.build/release/graft bench peak
	.build/release/graft bench matmul
	.build/release/graft bench attention
	.build/release/graft bench moe
	.build/release/graft bench step recipes/fashion-vmoe.yml
	.build/release/graft bench ops

bench-torch: setup ## time ops and training steps beside PyTorch on the CPU, which is fetched into .build/torch
	@tools/bench-torch.sh
	$(SWIFT) build -c release --product graft
	python3 bench/compare_ops.py
	python3 bench/compare_steps.py

fmt: ## format the Swift sources in place
	$(SWIFT) format --in-place --parallel --recursive $(SOURCES)

lint: ## check the format; any finding fails
	$(SWIFT) format lint --strict --parallel --recursive $(SOURCES)

clean: ## remove everything that was built
	rm -rf .build
