#!/usr/bin/env bash
# Installs the Debian packages that tests use beyond Go, make and git, where that is possible: as root on Debian.
# With CI=true what is missing in the end is a failure; elsewhere the tests that need it are skipped, and say so.
set -euo pipefail
wanted=(chromium ffmpeg gcc lua5.4 npm) # a command, and the package of the same name
gstreamer=(gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-rtsp)

missing=()
for name in "${wanted[@]}"; do
	command -v "$name" >/dev/null || missing+=("$name")
done
for element in rtspsrc rtspclientsink x264enc h264parse avenc_aac; do
	gst-inspect-1.0 --exists "$element" 2>/dev/null || { missing+=("${gstreamer[@]}") && break; }
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "installing ${missing[*]}" >&2
	export DEBIAN_FRONTEND=noninteractive
	if apt-get -qq update && apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null; then
		exit 0
	fi
fi
if [ "${CI:-}" = true ]; then
	echo "tests need ${missing[*]}, which could not be installed" >&2
	exit 1
fi
echo "without ${missing[*]} (install as root: apt-get install ${missing[*]}): tests that need it are skipped" >&2
