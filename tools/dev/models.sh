#!/usr/bin/env bash
# Builds the trimmed llama-cpp-python wheel: `models.sh native DIR` for this machine, `models.sh arm64 DIR` for the image.
# Prints the wheel's path.
#
# What its source package builds by itself is 19 MB, most of it copies and tools that the binding never loads; this is 2
# to 3 MB. It runs on any machine of its architecture (on x86_64: any with AVX2), whatever machine built it. For arm64
# the kernels come in three variants, of which the wheel takes the best when it is loaded (Pi 3 and 4; Pi 5). A wheel in
# DIR is built again only when this file has changed.
set -eu
set -o pipefail

VERSION=0.3.36
python=${PYTHON:-python3}
if [ $# != 2 ] || { [ "$1" != native ] && [ "$1" != arm64 ]; }; then
    echo "usage: models.sh native|arm64 DIR" >&2
    exit 2
fi
kind=$1
script=$(cd "$(dirname "$0")" && pwd)/models.sh
mkdir -p "$2"
dir=$(cd "$2" && pwd)
stamp=$dir/$kind-$(sha256sum <"$script" | cut -c1-16)
if [ -e "$stamp" ] && [ -e "$dir/$(cat "$stamp")" ]; then
    echo "$dir/$(cat "$stamp")"
    exit 0
fi

say() { echo "models: $*" >&2; }
work=$(mktemp -d "${TMPDIR:-/tmp}/waypost-models-XXXXXX")
trap 'rm -rf "$work"' EXIT

say "fetching the source of llama-cpp-python $VERSION (77 MB)"
"$python" -m venv "$work/venv"
pip() { "$work/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" >&2; }
pip install "scikit-build-core>=0.10" "cmake>=3.21" ninja wheel
PATH=$work/venv/bin:$PATH
pip download --no-deps --no-binary llama-cpp-python --no-build-isolation -d "$work" "llama-cpp-python==$VERSION"
src=$work/src
mkdir "$src"
tar -xzf "$work"/llama_cpp_python-*.tar.gz -C "$src" --strip-components=1

# edit FILE PATTERN COMMAND: sed, and an error when the place has moved in a newer source
edit() {
    grep -q -- "$2" "$src/$1" || { say "the source has changed: no \"$2\" in $1"; exit 1; }
    sed -i -e "/$2/$3" "$src/$1"
}
edit CMakeLists.txt "LLAMA_BUILD_COMMON ON" "s/ ON / OFF /"

flags="-DGGML_NATIVE=OFF -DGGML_OPENMP=ON -DLLAVA_BUILD=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
-DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_OPENSSL=OFF \
-DCMAKE_PLATFORM_NO_VERSIONED_SONAME=ON -DCMAKE_C_FLAGS=-ffile-prefix-map=$work=. \
-DCMAKE_CXX_FLAGS=-ffile-prefix-map=$work=. \
-DCMAKE_SHARED_LINKER_FLAGS=-Wl,--build-id=none -DCMAKE_MODULE_LINKER_FLAGS=-Wl,--build-id=none"
export SOURCE_DATE_EPOCH=1767225600 # with the lines above: the same source and compiler give the same bytes
# llama.cpp leaves these out where that is set, and is four times slower; they mean nothing on ARM
flags="$flags -DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_BMI2=ON -DGGML_FMA=ON -DGGML_F16C=ON"
if [ "$kind" = arm64 ]; then
    tools=/usr/aarch64-linux-gnu
    printf 'set(CMAKE_%s)\n' "SYSTEM_NAME Linux" "SYSTEM_PROCESSOR aarch64" "C_COMPILER aarch64-linux-gnu-gcc" \
        "CXX_COMPILER aarch64-linux-gnu-g++" "FIND_ROOT_PATH $tools" "FIND_ROOT_PATH_MODE_PROGRAM NEVER" \
        "FIND_ROOT_PATH_MODE_LIBRARY ONLY" "FIND_ROOT_PATH_MODE_INCLUDE ONLY" >"$work/aarch64.cmake"
    flags="$flags -DCMAKE_TOOLCHAIN_FILE=$work/aarch64.cmake -DGGML_CPU_ALL_VARIANTS=ON -DGGML_BACKEND_DL=ON \
-DCMAKE_INSTALL_BINDIR=llama_cpp/lib"
    export _PYTHON_HOST_PLATFORM=linux-aarch64
    # no Pi has SVE or SME, and Debian 12's compiler does not know all of them
    edit vendor/llama.cpp/ggml/src/CMakeLists.txt "variant(armv[89][^)]*SVE" d
    # the binding loads no back end by itself
    cat >>"$src/llama_cpp/__init__.py" <<'EOF'


def _load_back_ends():
    import ctypes
    import os

    lib = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")
    ctypes.CDLL(os.path.join(lib, "libggml.so")).ggml_backend_load_all_from_path(lib.encode())


_load_back_ends()
EOF
fi

say "building for $kind: about three minutes on two quiet cores"
if ! CMAKE_ARGS=$flags CMAKE_GENERATOR=Ninja CMAKE_BUILD_PARALLEL_LEVEL=${JOBS:-$(nproc)} \
    pip wheel --no-deps --no-build-isolation -w "$work/out" -C install.strip=true \
    -C "wheel.exclude=lib/**;include/**;bin/**;llama_cpp/server/**" "$src" >"$work/log" 2>&1; then
    tail -n 40 "$work/log" >&2
    exit 1
fi
if [ "$kind" = arm64 ]; then
    # a small Debian has no libgomp; the libraries look for it beside them first
    wheel() { "$work/venv/bin/python" -m wheel "$@" >&2; }
    wheel unpack -d "$work/open" "$work"/out/*.whl
    rm "$work"/out/*.whl
    cp -L "$tools/lib/libgomp.so.1" "$work"/open/*/llama_cpp/lib/
    wheel pack -d "$work/out" "$work"/open/*
    wheel tags --remove --platform-tag manylinux_2_34_aarch64 "$work"/out/*.whl
fi
wheel=$(basename "$work"/out/*.whl)
mv "$work/out/$wheel" "$dir/$wheel"
rm -f "$dir/$kind"-*
echo "$wheel" >"$stamp"
echo "$dir/$wheel"
