#!/bin/sh
# Runs before the package is removed. A new version in its place does not stop the
# server: that is the operator's to do (docs/operations.md, upgrade).
set -eu
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl disable --now wanbi.service
fi
