#!/bin/sh
# Runs after the package is installed or brought up to date. It starts nothing:
# settings and keys come first (/usr/share/doc/wanbi/operations.md).
set -eu
if ! getent passwd wanbi >/dev/null; then
	adduser --system --group --home /var/lib/wanbi --no-create-home --shell /usr/sbin/nologin wanbi
fi
chown root:wanbi /etc/wanbi
chmod 0750 /etc/wanbi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
