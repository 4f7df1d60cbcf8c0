# Installs Debian packages of servers without starting a server, now or at the
# next boot. Called with the packages' names, as root. Packages that are there
# already stay at their version: a server may be running from them.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.conf
kept=$(mktemp -d)

restore() {
	if [ -e "$kept/policy" ]; then
		cp -a "$kept/policy" "$policy"
	else
		rm -f "$policy"
	fi
	if [ -e "$kept/cluster" ]; then
		cp -a "$kept/cluster" "$cluster"
	fi
	rm -rf "$kept"
}
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

get() {
	# Not from our standard input, and waiting for another apt to finish.
	apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null >"$kept/log" 2>&1 || {
		code=$?
		cat "$kept/log" >&2
		return $code
	}
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null || true)" = "ii " ]
}

# Debian asks this program before it starts a service; 101 is "no".
if [ -e "$policy" ]; then
	cp -a "$policy" "$kept/policy"
fi
rm -f "$policy"
printf '#!/bin/sh\n# Put here while server packages are installed, by install.sh of chat-messaging.\nexit 101\n' >"$policy"
chmod 755 "$policy"

get update

for package in "$@"; do
	if [ "$package" = postgresql ]; then
		# Its installation creates and registers a cluster on port 5432 unless
		# told not to, here.
		get install -y --no-install-recommends --no-upgrade postgresql-common
		cp -a "$cluster" "$kept/cluster"
		printf '\ncreate_main_cluster = false\n' >>"$cluster"
	fi

	new=true
	if installed "$package"; then
		new=false
	fi
	get install -y --no-install-recommends --no-upgrade "$package"

	if $new && [ "$package" = rabbitmq-server ] && [ -d /run/systemd/system ]; then
		# It is registered to start at the next boot.
		systemctl disable --quiet rabbitmq-server || true
	fi
done
