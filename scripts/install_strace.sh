#!/bin/sh
# Installs Debian's strace, which the tests in tests/inject hurt a process with. Needs root.
set -eu
command -v strace >/dev/null && exit 0
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends strace
