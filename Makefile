# The front door: one target for each thing a person wants done; `make help` lists them.
# CMake does the building (CMakePresets.json), tools/ the rest. Everything is built under build/.

T      ?= 60
SEED   ?= 1
PREFIX ?= /usr/local
JOBS   ?= 2

# rustup puts cargo where not every shell looks.
export PATH := $(PATH):$(HOME)/.cargo/bin
export JOBS

.PHONY: help demo build test check bench fuzz asan sim sim-growth soak deb install clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: ## install what is missing, build, and run the guide's test against a worker started here
	@tools/demo

build: ## build everything, optimised, into build/
	@tools/install-deps build daemon test
	cmake --preset release -DPLASM_TESTS=ON -DPLASM_DAEMON=ON
	cmake --build build

test: ## build everything and run all tests
	@tools/install-deps build daemon demo test interop deb
	cmake --preset release -DPLASM_TESTS=ON -DPLASM_DAEMON=ON
	cmake --build build
	@cd build && ctest -j$(JOBS) --output-on-failure

check: ## style, layers and the fast tests: before every commit
	tools/check-style
	tools/check-layers
	@tools/install-deps build daemon test
	cmake --preset release -DPLASM_TESTS=ON -DPLASM_DAEMON=ON
	cmake --build build --target unit_tests
	@cd build && ctest -j$(JOBS) --output-on-failure -L '^(unit|fuzz)$$'

bench: ## measure against the peers, side by side; also writes build/bench.json
	@tools/install-deps build daemon demo test interop
	cmake --preset release -DPLASM_TESTS=ON -DPLASM_DAEMON=ON
	cmake --build build --target programs benchmarks plasm-peer wasm_test_modules
	tests/interop/build.sh build/interop
	@bench/run build
	@bench/network build
	@bench/dht build

fuzz: ## run every fuzz target for T=60 seconds
	@tools/install-deps build daemon test
	cmake --preset fuzz
	cmake --build build/fuzzing --target fuzzers
	@tools/fuzz $(T)

asan: ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/install-deps build daemon demo test interop deb
	cmake --preset asan
	cmake --build build/asan
	@cd build/asan && ctest -j$(JOBS) --output-on-failure

sim: ## replay the simulated network of SEED=1
	@tools/install-deps build test
	cmake --preset release -DPLASM_TESTS=ON
	cmake --build build --target plasm-sim
	@build/bin/plasm-sim --seed $(SEED)

sim-growth: ## the simulated network at 1,000, 3,000 and 10,000 nodes (NODES="…"), one table
	@tools/install-deps build test
	cmake --preset release -DPLASM_TESTS=ON
	cmake --build build --target plasm-sim
	@sim/growth build $(NODES)

soak: ## the tests that are too long for `make test`
	@tools/install-deps build daemon demo test
	cmake --preset release -DPLASM_TESTS=ON -DPLASM_DAEMON=ON
	cmake --build build
	@tests/system/soak build

deb: ## the Debian package: daemon/target/debian/plasm_0.1.0_amd64.deb
	@tools/install-deps build daemon deb
	@tools/build-deb

install: ## install programs, library, header and manual pages into PREFIX=/usr/local (DESTDIR works)
	@tools/install-deps build daemon
	cmake --preset release
	cmake --build build --target programs
	cmake --install build --prefix $(PREFIX)

clean: ## remove everything that was built
	rm -rf build daemon/target
