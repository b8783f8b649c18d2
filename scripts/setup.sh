#!/usr/bin/env bash
# Installs what building and running skyfix needs and the machine lacks; says nothing and changes nothing when all is there.
#
#   system packages   a C compiler, pkg-config, GStreamer with its plugins, python3-venv: by apt, with sudo when not root
#   .venv             the shared library of ONNX Runtime and the Rerun viewer: pinned wheels, checksums checked
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
requirements=scripts/requirements.txt
stamp=$venv/.skyfix-setup

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Prints the Debian packages that are missing. What can be asked for by its function is: a compiler or a Python from elsewhere
# serves as well.
missing_packages() {
    command -v cc >/dev/null || echo gcc libc6-dev
    command -v make >/dev/null || echo make
    command -v pkg-config >/dev/null || echo pkg-config
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3 python3-venv
    pkg-config --exists gstreamer-1.0 2>/dev/null || echo libgstreamer1.0-dev
    pkg-config --exists gstreamer-app-1.0 gstreamer-video-1.0 2>/dev/null || echo libgstreamer-plugins-base1.0-dev
    command -v dpkg-query >/dev/null || return 0
    local package
    for package in gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
    done
}

install_packages() {
    local packages
    packages=$(missing_packages | tr '\n' ' ')
    [ -n "${packages// /}" ] || return 0
    command -v apt-get >/dev/null || die "missing, and there is no apt-get to install them: $packages"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "missing, and there is no sudo; as root: apt-get install $packages"
        as_root=(sudo)
    fi
    say "installing $packages"
    "${as_root[@]}" apt-get update -qq
    # shellcheck disable=SC2086  # one word a package
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
}

install_wheels() {
    local wanted
    # The interpreter belongs to the stamp: an upgrade of the system's Python leaves .venv without one.
    wanted="$(sha256sum "$requirements" | cut -d ' ' -f 1) $(python3 -c 'import platform; print(platform.python_version(), platform.machine())')"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return 0
    fi
    case "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" in
        3.11 | 3.12 | 3.13) ;;
        *) die "python3 is $(python3 --version 2>&1 | cut -d ' ' -f 2); the pinned wheels are for 3.11, 3.12 and 3.13" ;;
    esac
    say "filling $venv with ONNX Runtime and the Rerun viewer (190 MB, once)"
    rm -f "$stamp"
    # A folder left by an interrupted run, or by another interpreter, is made anew.
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: \
        --require-hashes --requirement "$requirements"
    printf '%s\n' "$wanted" >"$stamp"
}

command -v cargo >/dev/null || die "no Rust toolchain: install one from https://rustup.rs, then run this again"
install_packages
install_wheels
