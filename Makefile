# make run    set everything up, run a node with embedded defaults: SQLite, LAN, page at http://localhost:8080
# make test   set everything up, run all checks and tests
# make venv   the set-up alone, into .venv
# make triage DATA=FILE  train the triage model anew on these messages, and compare its figures with those promised
# make models        build llama-cpp-python for this machine (once, into WHEELS) and install it: local models
# make models-arm64  the same for the SD-card image, built here for arm64
# make image         the SD-card image and the update bundle, into .cache/image (docs/IMAGE.md)
# make test-image    build it and try it in QEMU: start, settings, console, update, roll-back, power cuts
# make test-ble      Bluetooth on the real stack: Debian's kernel, bluetoothd and D-Bus in QEMU; BLE_SUITE=bookworm for 5.66
# make test-parts    chips on the kernel's simulated I2C bus, in that machine; its simulated GPIO is in make test-image
# make test-ble-web  the page for phones in Chromium, by Web Bluetooth, against nodes in that machine
# make test-image-pi the same image in QEMU's Raspberry Pi 3; slow
# make test-arm64    the node's tests in the image's root under qemu-user; slow
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DIR ?= $(HOME)/.waypost
MICROPYTHON := .mp/micropython
WHEELS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/waypost

unexport PYTHONDONTWRITEBYTECODE  # byte code that is kept makes nodes smaller and tests quicker

.PHONY: run test venv lint core bench triage models models-arm64 image test-image test-image-pi test-arm64 test-ble \
	test-ble-web test-parts clean

run: $(VENV)/.run-ready
	$(BIN)/waypost --dir $(DIR) run

venv: $(VENV)/.dev-ready

$(VENV)/bin/python:
	tools/dev/setup.sh venv $(PYTHON) $(VENV)

$(VENV)/.run-ready: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[tools]'
	$(BIN)/python -m tools.warm
	touch $@

$(VENV)/.dev-ready: $(VENV)/.run-ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'sx126x>=2.2'
	touch $@

$(MICROPYTHON):
	tools/dev/micropython.sh .mp

lint: $(VENV)/.dev-ready
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(VENV)/.dev-ready $(VENV)/.models-ready $(VENV)/.tflite-ready $(MICROPYTHON) lint
	tools/dev/setup.sh tests
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

image: $(VENV)/.run-ready
	tools/dev/setup.sh image
	$(BIN)/python -m images.builder $(IMAGE_FLAGS)

IMAGE_TESTS ?= virt wifi power quiet

test-image: $(VENV)/.dev-ready
	tools/dev/setup.sh image
	$(BIN)/python -m images.builder --for-tests
	$(BIN)/python -m pytest -s $(IMAGE_TESTS:%=images/test/test_%.py)

test-image-pi: $(VENV)/.dev-ready
	tools/dev/setup.sh image
	$(BIN)/python -m images.builder --for-tests
	$(BIN)/python -m pytest -s images/test/test_pi.py

test-arm64: image models-arm64
	images/test/suite_arm64.sh

BLE_SUITE ?= trixie

test-ble: $(VENV)/.dev-ready
	tools/dev/setup.sh ble
	$(BIN)/python -m tests.ble_vm.machine --suite $(BLE_SUITE) python3 -m pytest \
	    tests/ble_vm/inside/contract.py tests/ble_vm/inside/story.py tests/ble_vm/inside/nodes.py

test-parts: $(VENV)/.dev-ready
	tools/dev/setup.sh ble
	$(BIN)/python -m tests.ble_vm.machine --suite $(BLE_SUITE) python3 -m pytest -rs tests/parts/test_kernel.py

test-ble-web: $(VENV)/.dev-ready
	tools/dev/setup.sh ble
	tools/dev/setup.sh tests
	BLE_SUITE=$(BLE_SUITE) $(BIN)/python -m pytest tests/ble_vm/web.py

core: $(VENV)/.dev-ready
	$(BIN)/python -m pytest tests/core

bench: $(VENV)/.run-ready
	$(BIN)/waypost bench

triage: $(VENV)/.dev-ready
	@test -n "$(DATA)" || { echo "make triage DATA=FILE: the labelled messages are not part of this; docs/TRIAGE.md" \
		"says where they are from" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train]'
	$(BIN)/python -m tools.dev.triage_train "$(DATA)" --check

models: $(VENV)/.models-ready

$(VENV)/.models-ready: $(VENV)/.run-ready tools/dev/models.sh
	tools/dev/setup.sh models
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(PYTHON=$(BIN)/python tools/dev/models.sh native $(WHEELS))"
	touch $@

# the other TFLite runtime, which is for Python 3.11 alone and wants numpy 1: in an environment of its own, for its test
$(VENV)/.tflite-ready: $(VENV)/.dev-ready
	$(BIN)/python -m venv $(VENV)/tflite
	$(VENV)/tflite/bin/python -m pip install --quiet --disable-pip-version-check 'tflite-runtime==2.14.0' 'numpy<2' || \
		echo "make: no tflite-runtime for this Python; its test will be skipped"
	touch $@

models-arm64: $(VENV)/.run-ready
	tools/dev/setup.sh models-arm64
	PYTHON=$(BIN)/python tools/dev/models.sh arm64 $(WHEELS)/image/llama

clean:
	rm -rf $(VENV) .mp .cache .mypy_cache .ruff_cache
