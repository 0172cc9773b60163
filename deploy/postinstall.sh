#!/bin/sh
# Runs after the package is installed or brought up to date. It starts nothing:
# settings and keys come first (/usr/share/doc/wanbi/operations.md).
set -eu
if ! getent passwd wanbi >/dev/null; then
	adduser --quiet --system --group --home /var/lib/wanbi --no-create-home --shell /usr/sbin/nologin wanbi
fi
# The account owns both folders, so that keys can be rotated and the database be
# restored as it; the unit keeps the server itself from writing to /etc. What is
# there stays as it is.
if [ ! -d /etc/wanbi ]; then
	install -d -o wanbi -g wanbi -m 0750 /etc/wanbi
fi
if [ ! -d /var/lib/wanbi ]; then
	install -d -o wanbi -g wanbi -m 0700 /var/lib/wanbi
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
