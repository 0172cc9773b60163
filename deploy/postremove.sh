#!/bin/sh
# Runs after the package is removed. Keys, settings and the database stay, also
# when it is purged: nothing that was sealed could be read again without them. The
# account wanbi stays with the files that it owns.
set -eu
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
