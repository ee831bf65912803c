#!/bin/sh
# Builds one Go command so that the result is there whole or not at all, and says every ten seconds how far it is.
# usage: tools/build.sh MODULE_FOLDER PACKAGE OUTPUT [flags of go build]
set -eu

module=$1 package=$2 output=$3
shift 3

mkdir -p "$(dirname "$output")"
output=$(cd "$(dirname "$output")" && pwd)/$(basename "$output")
partial=$output.$$.partial
log=$output.$$.log
beat=

finish() {
	[ -z "$beat" ] || kill "$beat" 2>/dev/null || :
	rm -f "$partial" "$log"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# go build does not link again when the output is up to date: show it the one there is.
[ ! -f "$output" ] || cp -p "$output" "$partial"

: >"$log"
(
	seconds=0
	# The sleep holds no pipe of ours: whoever reads our output need not wait for it.
	while sleep 10 >/dev/null 2>&1; do
		seconds=$((seconds + 10))
		compiled=$(grep -vc '^go: ' "$log" || :)
		echo "  $(basename "$output"): ${seconds} s, ${compiled} packages compiled"
	done
) &
beat=$!

if ! (cd "$module" && exec go build -v "$@" -o "$partial" "$package") >"$log" 2>&1; then
	# go build -v mixes in the name of every package, alone on its line.
	grep ' ' "$log" | grep -v '^go: downloading ' >&2 || cat "$log" >&2
	echo "build $package: failed, see above; $output is unchanged" >&2
	exit 1
fi
mv -f "$partial" "$output"
