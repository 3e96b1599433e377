#!/usr/bin/env bash
# Starts a private PostgreSQL server from the distribution's packages on
# 127.0.0.1, in a folder that goes away with it, and stops it at the end.
#
#   scripts/postgres.sh               prints "URL FOLDER", runs until interrupted
#                                     or until its standard input ends
#   scripts/postgres.sh COMMAND...    runs a command with the server's address in
#                                     MYTHOS_TEST_POSTGRES
#   scripts/postgres.sh --restart FOLDER   pulls the plug of such a server (its
#                                     processes end at once, as in a crash) and
#                                     starts it again on what is on the disk
#
# Without PostgreSQL it says so; a command then runs without a server, so that its
# tests skip loudly, and in CI (CI=true) the script fails.
#
# MYTHOS_POSTGRES_BIN names the folder of initdb and pg_ctl; if unset, PATH and
# then the packages' folders are searched, newest version first.

set -euo pipefail
say() { printf 'postgres.sh: %s\n' "$*" >&2; }

find_bin() {
	local dir
	for dir in "${MYTHOS_POSTGRES_BIN:-}" $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV) /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin; do
		if [ -n "$dir" ] && [ -x "$dir/initdb" ] && [ -x "$dir/pg_ctl" ]; then
			printf '%s\n' "$dir"
			return
		fi
	done
	dir=$(command -v initdb) && dirname "$(readlink -f "$dir")"
}

# as_user runs a server program: PostgreSQL refuses to run as root.
as_user() {
	if [ "$(id -u)" != 0 ]; then
		"$@"
		return
	fi
	local user=nobody
	id postgres >/dev/null 2>&1 && user=postgres
	setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- env HOME=/ "$@"
}

if ! BIN=$(find_bin); then
	say "no PostgreSQL (initdb, pg_ctl) on this machine"
	if [ "${CI:-}" = true ] || [ $# = 0 ] || [ "$1" = --restart ]; then
		exit 1
	fi
	exec "$@"
fi

if [ "${1:-}" = --restart ]; then
	cd "$2"
	as_user "$BIN/pg_ctl" -D "$2/data" -m immediate -w stop >&2
	as_user "$BIN/pg_ctl" -D "$2/data" -l "$2/log" -w -t 60 start >&2
	exit
fi

FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/mythos-postgres.XXXXXX")
finish() {
	as_user "$BIN/pg_ctl" -D "$FOLDER/data" -m immediate -w stop >/dev/null 2>&1 || true
	rm -rf "$FOLDER"
}
trap finish EXIT
trap 'exit 130' INT TERM

before=$(umask)
umask 077 # the password is for this user and the server
chmod 711 "$FOLDER"
mkdir "$FOLDER/data"
touch "$FOLDER/log" "$FOLDER/pw"
PASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '%s' "$PASSWORD" >"$FOLDER/pw"
if [ "$(id -u)" = 0 ]; then
	owner=nobody
	id postgres >/dev/null 2>&1 && owner=postgres
	chown "$owner" "$FOLDER/data" "$FOLDER/log" "$FOLDER/pw"
fi
start=("$BIN/pg_ctl" -D "$FOLDER/data" -l "$FOLDER/log" -w -t 60 start)
(
	cd "$FOLDER"
	as_user "$BIN/initdb" -D "$FOLDER/data" -U mythos -A scram-sha-256 --pwfile="$FOLDER/pw" -E UTF8 --locale=C >"$FOLDER/initdb.log" 2>&1
) || {
	cat "$FOLDER/initdb.log" >&2
	exit 1
}
# A port that is taken makes the start fail; another one is tried.
started=no
for _ in 1 2 3 4 5 6 7 8; do
	PORT=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 40000))
	# shellcheck disable=SC2016
	as_user sh -c 'cat >>"$0/data/postgresql.auto.conf"' "$FOLDER" <<-CONF
		listen_addresses = '127.0.0.1'
		unix_socket_directories = ''
		port = $PORT
		max_connections = 200
	CONF
	if (cd "$FOLDER" && as_user "${start[@]}") >/dev/null 2>&1; then
		started=yes
		break
	fi
done
if [ "$started" = no ]; then
	cat "$FOLDER/log" >&2
	exit 1
fi
printf '127.0.0.1:%s:*:mythos:%s\n' "$PORT" "$PASSWORD" >"$FOLDER/pgpass"
chmod 600 "$FOLDER/pgpass"
URL="postgres://mythos@127.0.0.1:$PORT/postgres?passfile=$FOLDER/pgpass&sslmode=disable"
if [ $# = 0 ]; then
	printf '%s %s\n' "$URL" "$FOLDER"
	cat >/dev/null
else
	umask "$before"
	MYTHOS_TEST_POSTGRES=$URL "$@"
fi
